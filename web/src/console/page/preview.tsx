// The stream as a viewer has it: a signed address, and the player of the play page.
import { useEffect, useRef, useState } from "preact/hooks";
import type { WebPlayer } from "liverelay-sdk/web";
import { Icon } from "../../common/icon.js";
import { ask, Failure } from "../client.js";
import { may, useSession } from "../session.js";
import { failureText, Panel } from "../part/notice.js";

export function Preview({ app, stream }: { app: string; stream: string }) {
  const { client, words, language, me, leave } = useSession();
  const stage = useRef<HTMLDivElement>(null);
  const player = useRef<WebPlayer>(undefined);
  const [on, setOn] = useState(false);
  const [text, setText] = useState("");
  const allowed = may(me, "operator", app);
  useEffect(() => {
    if (!on) return;
    let over = false;
    setText("");
    void (async () => {
      try {
        // The player is loaded when somebody wants to see.
        const [{ playInto }, { url }] = await Promise.all([
          import("liverelay-sdk/web"),
          ask(client.POST("/api/v1/urls", { body: { app, stream, action: "play", proto: "flv", user: "console", ttl: "1h" } })),
        ]);
        if (over) return;
        player.current = playInto(stage.current!, url, {
          language,
          onState: ({ reason }) => setText(reason === "away" || reason === "refused" ? words.previewAway(new URL(url).origin, location.origin) : ""),
        });
      } catch (error) {
        if (over) return;
        if (error instanceof Failure && error.status === 401) return leave(true);
        setOn(false);
        setText(error instanceof Failure ? failureText(error, words) : String(error));
      }
    })();
    return () => {
      over = true;
      player.current?.destroy();
      player.current = undefined;
    };
  }, [on, app, stream, language]);
  return (
    <Panel id="preview" title={words.preview} actions={on && <button onClick={() => setOn(false)}>{words.stop}</button>}>
      <div class="preview">
        <div ref={stage} class="stage" />
        {!on && (
          <div class="curtain">
            {allowed ? (
              <button class="primary" onClick={() => setOn(true)}>
                <Icon name="play" /> {words.showPicture}
              </button>
            ) : (
              <p>{words.previewNeeds}</p>
            )}
            {allowed && <p>{words.previewCounts}</p>}
          </div>
        )}
      </div>
      <div role="status">{text && <p class="banner warn">{text}</p>}</div>
    </Panel>
  );
}
