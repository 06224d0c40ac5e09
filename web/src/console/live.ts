// What the server says, asked again and again while the page is seen.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Failure } from "./client.js";
import { useSession } from "./session.js";

export interface Live<T> {
  /** The last answer; undefined before the first. After a failure it stays. */
  data?: T;
  failure?: Failure;
  /** When data came, ms since 1970. */
  at: number;
  /** Asks now. */
  refresh(): void;
}

/**
 * Asks at once and every so many seconds. ask is called anew when one of needs changes, and its old
 * answers are not shown any more; keep says that they are, until the first new one comes.
 */
export function useLive<T>(ask: () => Promise<T>, needs: unknown[], seconds = 3, keep = false): Live<T> {
  const { leave } = useSession();
  const [state, set] = useState<Omit<Live<T>, "refresh">>({ at: 0 });
  const again = useRef(() => {});
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    let over = false;
    let timer = 0;
    let running = false;
    if (!keep) set({ at: 0 });
    const turn = async (): Promise<void> => {
      clearTimeout(timer);
      if (running) return;
      running = true;
      try {
        const data = await latest.current();
        if (!over) set({ data, at: Date.now() });
      } catch (error) {
        const failure = error instanceof Failure ? error : new Failure(0, String(error));
        if (over) return;
        if (failure.status === 401) return leave(true);
        set((was) => ({ ...was, failure }));
      } finally {
        running = false;
        if (!over) timer = window.setTimeout(next, seconds * 1000);
      }
    };
    const next = (): void => void (document.hidden || turn());
    const seen = (): void => void (document.hidden || turn());
    again.current = () => void turn();
    document.addEventListener("visibilitychange", seen);
    void turn();
    return () => {
      over = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, needs);
  const refresh = useCallback(() => again.current(), []);
  return { ...state, refresh };
}
