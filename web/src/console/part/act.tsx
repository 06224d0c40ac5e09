// What changes something: it is asked for once, shows that it runs, and says how it ended.
import { createContext, type ComponentChildren } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import { Failure } from "../client.js";
import { useSession } from "../session.js";
import { failureText } from "./notice.js";
import { Field } from "./form.js";
import { Icon } from "../../common/icon.js";

export interface Act {
  title: string;
  /** What it does, in a sentence. */
  text?: ComponentChildren;
  /** On the button. */
  label: string;
  danger?: boolean;
  /** Asks for a reason, for the audit log. */
  reason?: boolean;
  /** Fields between the text and the reason. */
  fields?: (form: FormState) => ComponentChildren;
  /** What the fields begin with. */
  begin?: Record<string, string>;
  /** Does it; what it returns is said to the user. */
  run(values: Record<string, string>): Promise<string>;
}

export interface FormState {
  values: Record<string, string>;
  set(name: string, value: string): void;
}

interface Acting {
  act(what: Act): void;
  /** Tells an outcome. */
  say(text: string): void;
}

const ActContext = createContext<Acting>(undefined as never);

export function useAct(): Acting {
  return useContext(ActContext);
}

const sayFor = 8000;

export function ActProvider({ children }: { children: ComponentChildren }) {
  const { words } = useSession();
  const [what, act] = useState<Act>();
  const [said, setSaid] = useState<{ text: string; id: number }>();
  const say = useCallback((text: string) => setSaid({ text, id: Date.now() }), []);
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(undefined), sayFor);
    return () => clearTimeout(timer);
  }, [said]);
  const [acting] = useState<Acting>(() => ({ act: (a) => act(() => a), say }));
  return (
    <ActContext.Provider value={acting}>
      {children}
      {what && <Ask what={what} done={(text) => (act(undefined), text && say(text))} />}
      <div class="said" role="status">
        {said && (
          <p key={said.id}>
            <span>{said.text}</span>
            <button class="plain" aria-label={words.close} onClick={() => setSaid(undefined)}>
              <Icon name="close" size={18} />
            </button>
          </p>
        )}
      </div>
    </ActContext.Provider>
  );
}

function Ask({ what, done }: { what: Act; done(text?: string): void }) {
  const { words, leave } = useSession();
  const dialog = useRef<HTMLDialogElement>(null);
  const [values, setValues] = useState<Record<string, string>>({ reason: "", ...what.begin });
  const [running, setRunning] = useState(false);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    const shown = dialog.current!;
    let over = false;
    const closed = (): void => void (over || done());
    shown.addEventListener("close", closed);
    shown.showModal();
    return () => {
      over = true;
      shown.close(); // so the focus goes back to where it was
    };
  }, []);
  const form: FormState = { values, set: (name, value) => setValues((was) => ({ ...was, [name]: value })) };
  const run = async (event: Event): Promise<void> => {
    event.preventDefault();
    setRunning(true);
    setFailure("");
    try {
      done(await what.run(values));
    } catch (error) {
      if (error instanceof Failure && error.status === 401) return leave(true);
      setRunning(false);
      setFailure(error instanceof Failure ? failureText(error, words) : String(error));
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="act-title" onCancel={(e) => running && e.preventDefault()}>
      <form onSubmit={run}>
        <h2 id="act-title">{what.title}</h2>
        {what.text && <p>{what.text}</p>}
        {what.fields?.(form)}
        {what.reason && <Field label={words.reason} hint={words.reasonHint} value={values.reason!} onInput={(v) => form.set("reason", v)} maxLength={256} />}
        <div role="alert">{failure && <p class="banner bad">{failure}</p>}</div>
        <div class="buttons">
          <button type="button" disabled={running} onClick={() => done()}>
            {words.cancel}
          </button>
          <button type="submit" class={what.danger ? "danger" : "primary"} disabled={running}>
            {running && <span class="wheel" aria-hidden="true" />} {what.label}
          </button>
        </div>
      </form>
    </dialog>
  );
}
