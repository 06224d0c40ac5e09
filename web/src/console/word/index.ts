// The words of the console.
import type { Language } from "../../common/language.js";
import { en } from "./en.js";
import { zh } from "./zh.js";

export type Words = typeof en;

export function wordsOf(language: Language): Words {
  return language === "zh" ? zh : en;
}
