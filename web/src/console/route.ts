// Where one is: #/streams/live/demo?q=x. The part before ? says which page, the rest what it shows.
import { useEffect, useState } from "preact/hooks";

export interface Route {
  /** ["streams", "live", "demo"]; [] for the overview. */
  path: string[];
  query: URLSearchParams;
}

export function routeOf(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(unescaped), query: new URLSearchParams(query) };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a % that somebody typed
  }
}

/** The address of a page. What is "" is left out of the query. */
export function link(path: string[], query: Record<string, string> = {}): string {
  const set = Object.entries(query).filter(([, value]) => value !== "");
  const more = set.length > 0 ? `?${new URLSearchParams(set)}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${more}`;
}

export function useRoute(): Route {
  const [route, set] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const follow = (): void => set(routeOf(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

/**
 * Changes what the page shows, without a step back in the browser's history for each letter of a
 * filter.
 */
export function replaceQuery(change: Record<string, string>): void {
  const { path, query } = routeOf(location.hash);
  const next = { ...Object.fromEntries(query), ...change };
  history.replaceState(null, "", link(path, next));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
