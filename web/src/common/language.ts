// The words of the pages, in the reader's language.

/** A language of the pages. */
export type Language = "en" | "zh";

const key = "liverelay.language";

/** The language: ?lang=, what was chosen here before, or the browser's. */
export function language(): Language {
  const asked = new URLSearchParams(location.search).get("lang") ?? stored() ?? navigator.language;
  return asked.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Remembers a choice; the page then renders again. */
export function choose(chosen: Language): void {
  try {
    localStorage.setItem(key, chosen);
  } catch {
    // An embedded page may have no storage.
  }
  document.documentElement.lang = tag(chosen);
}

/** The tag for the html element: screen readers choose their voice by it. */
export function tag(of: Language): string {
  return of === "zh" ? "zh-CN" : "en";
}

function stored(): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
