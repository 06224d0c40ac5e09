// Writes docs/sdk/reference*.md and docs/sdk/error*.md from the comments of the
// public types, in English and (what stands behind @zh) in Chinese.
//   node script/reference.mjs [--check]     --check: fail when a file is not up to date
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "../docs/sdk");

const languages = {
  en: {
    suffix: "",
    title: "API reference",
    made: "Made from the types by `npm run docs` in sdk/: do not edit.",
    methods: "Methods",
    statics: "Static",
    events: "Events",
    types: "Types",
    parameter: "parameter",
    field: "field",
    type: "type",
    what: "what",
    errors: "Error codes",
    errorsIntro:
      "A rejected promise holds a `LiveRelayError` with `code` (and `errorCode`, the same), `msg`, `extendedData`, `retryable`. The states `roomStateUpdate`, `publisherStateUpdate` and `playerStateUpdate` carry the same codes; the negative ones and those from 1000 to 5999 are the WeChat component's own and are passed on as they are.",
    code: "code",
    name: "name",
    meaning: "meaning, and what to do",
    raw: "WeChat's own codes",
  },
  zh: {
    suffix: ".zh-CN",
    title: "API 参考",
    made: "由 sdk/ 下 `npm run docs` 从类型生成，请勿手改。",
    methods: "方法",
    statics: "静态成员",
    events: "事件",
    types: "类型",
    parameter: "参数",
    field: "字段",
    type: "类型",
    what: "说明",
    errors: "错误码",
    errorsIntro:
      "Promise 被拒绝时的值为 `LiveRelayError`，含 `code`（与 `errorCode` 相同）、`msg`、`extendedData`、`retryable`。`roomStateUpdate`、`publisherStateUpdate`、`playerStateUpdate` 使用同一套错误码；负数以及 1000–5999 是微信组件自己的错误码，原样给出。",
    code: "错误码",
    name: "名称",
    meaning: "含义与处理",
    raw: "微信组件自己的错误码",
  },
};

/** WeChat's codes that end a publish or a play, B1. */
const raw = [
  ["-1301", "The camera cannot be opened: ask for the permission (openSetting).", "摄像头打开失败：引导用户授权（openSetting）。"],
  ["-1302", "The microphone cannot be opened: ask for the permission (openSetting).", "麦克风打开失败：引导用户授权（openSetting）。"],
  ["-1303 … -1306", "Encoding failed, or an unsupported resolution or sample rate: another `mode`, less bitrate.", "编码失败或分辨率、采样率不支持：换 `mode` 或降低码率。"],
  ["-1307", "The push lost its network and three retries: startPublishingStream again, set the new URL, stop() then start() the component.", "推流断网且三次重试失败：再次 startPublishingStream，设置新 URL，组件先 stop() 再 start()。"],
  ["-1308 … -1312", "Screen capture or the microphone could not start.", "录屏或麦克风启动失败。"],
  ["-2301", "The play lost its network and its retries: startPlayingStream again, set the new URL, stop() then play(). If roomStreamUpdate DELETE came, the publisher left.", "拉流断网且重试失败：再次 startPlayingStream，设置新 URL，组件先 stop() 再 play()。若收到 roomStreamUpdate DELETE，则是对方已停止。"],
  ["-2302", "No acceleration URL: use a plain URL as startPlayingStream gives it.", "获取加速地址失败：请直接使用 startPlayingStream 给出的 URL。"],
  ["2101, 2102", "A frame cannot be decoded: it usually recovers at the next keyframe (2004 follows).", "解码失败：通常在下一个关键帧恢复（随后 2004）。"],
];

function source(name) {
  return ts.createSourceFile(name, readFileSync(join(root, "src", name), "utf8"), ts.ScriptTarget.ES2018, true);
}

/** A node's comment in both languages, with its @param texts. */
function comment(node) {
  const docs = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const doc = docs[docs.length - 1];
  const text = (x) => (ts.getTextOfJSDocComment(x) || "").replace(/\{@link (?:\w+\.)?(\w+)\}/g, "`$1`").trim();
  const result = { en: "", zh: "", params: {}, internal: false };
  if (!doc) return result;
  [result.en, result.zh = ""] = text(doc.comment).split(/\s*@zh\s*/);
  const line = (tag) => doc.getSourceFile().getLineAndCharacterOfPosition(tag.getStart()).line;
  let last;
  for (const tag of doc.tags || []) {
    if (tag.tagName.text === "zh") {
      // Behind a @param on the same line it is that parameter's, else the node's.
      if (last && line(last) === line(tag)) result.params[last.name.getText()].zh = text(tag.comment);
      else result.zh = text(tag.comment);
    } else if (ts.isJSDocParameterTag(tag)) {
      last = tag;
      result.params[tag.name.getText()] = { en: text(tag.comment), zh: text(tag.comment) };
    } else if (tag.tagName.text === "internal") result.internal = true;
  }
  return result;
}

const squeeze = (text) => text.replace(/\s+/g, " ").trim();
const cell = (text) => squeeze(text).replace(/\|/g, "\\|");
const isPrivate = (member) => (ts.canHaveModifiers(member) ? ts.getModifiers(member) || [] : []).some((m) => m.kind === ts.SyntaxKind.PrivateKeyword || m.kind === ts.SyntaxKind.ProtectedKeyword);
const isStatic = (member) => (ts.canHaveModifiers(member) ? ts.getModifiers(member) || [] : []).some((m) => m.kind === ts.SyntaxKind.StaticKeyword);

function signature(member, sourceFile) {
  const params = member.parameters.map((p) => squeeze(p.getText(sourceFile)).replace(/^(private |readonly )+/, "").replace(/^_/, "")).join(", ");
  const type = member.type ? `: ${squeeze(member.type.getText(sourceFile))}` : "";
  const name = ts.isConstructorDeclaration(member) ? "constructor" : member.name.getText(sourceFile);
  const generic = member.typeParameters ? `<${member.typeParameters.map((t) => t.getText(sourceFile)).join(", ")}>` : "";
  return `${name}${generic}(${params})${type}`;
}

function classPart(declaration, file, lang, words) {
  const lines = [];
  const section = (heading, members) => {
    if (!members.length) return;
    lines.push(`### ${heading}`, "");
    for (const member of members) {
      const doc = comment(member);
      lines.push("```ts", signature(member, member.getSourceFile()), "```", "");
      const text = (doc[lang] || doc.en).replace(/```[\s\S]*```/g, "");
      if (text) lines.push(squeeze(text), "");
      const params = Object.entries(doc.params);
      if (params.length) {
        lines.push(`| ${words.parameter} | ${words.what} |`, "|---|---|");
        for (const [name, p] of params) lines.push(`| \`${name}\` | ${cell(p[lang])} |`);
        lines.push("");
      }
    }
  };
  const parent = declaration.heritageClauses?.[0]?.types[0].expression.getText(file);
  const base = [file, source("unoffered.ts")].flatMap((f) => [...f.statements]).find((s) => ts.isClassDeclaration(s) && s.name.text === parent);
  const all = [...declaration.members, ...(base ? base.members.filter(ts.isMethodDeclaration) : [])];
  const members = all.filter((m) => (ts.isMethodDeclaration(m) || ts.isConstructorDeclaration(m)) && !isPrivate(m) && !comment(m).internal);
  section(words.methods, members.filter((m) => !isStatic(m)));
  section(words.statics, members.filter(isStatic));
  return lines;
}

function interfacePart(declaration, file, lang, words) {
  const members = declaration.members.filter(ts.isPropertySignature);
  const lines = [`| ${words.field} | ${words.type} | ${words.what} |`, "|---|---|---|"];
  for (const m of members) {
    const doc = comment(m);
    lines.push(`| \`${m.name.getText(file)}${m.questionToken ? "?" : ""}\` | \`${cell(m.type.getText(file))}\` | ${cell(doc[lang] || doc.en)} |`);
  }
  return [...lines, ""];
}

function eventPart(declaration, file, lang, words) {
  const lines = [`| ${words.name} | ${words.parameter} | ${words.what} |`, "|---|---|---|"];
  for (const m of declaration.members) {
    const doc = comment(m);
    const args = squeeze(m.type.getText(file)).replace(/^\[|\]$/g, "");
    lines.push(`| \`${m.name.getText(file)}\` | \`${cell(args)}\` | ${cell(doc[lang] || doc.en)} |`);
  }
  return [...lines, ""];
}

function reference(lang) {
  const words = languages[lang];
  const lines = [`# ${words.title}`, "", words.made, ""];
  const types = source("type.ts");
  const engine = source("engine.ts");
  const component = source("component.ts");
  for (const [file, names] of [[engine, ["LiveRelayEngine"]], [component, ["LivePusher", "LivePlayer"]]]) {
    for (const statement of file.statements) {
      if (!ts.isClassDeclaration(statement) || !names.includes(statement.name.text)) continue;
      const doc = comment(statement);
      lines.push(`## ${statement.name.text}`, "", squeeze(doc[lang].replace(/```[\s\S]*```/g, "")), "", ...classPart(statement, file, lang, words));
    }
  }
  const events = types.statements.find((s) => ts.isInterfaceDeclaration(s) && s.name.text === "EventMap");
  lines.push(`## ${words.events}`, "", ...eventPart(events, types, lang, words), `## ${words.types}`, "");
  for (const statement of types.statements) {
    if (statement === events) continue;
    const doc = comment(statement);
    if (ts.isInterfaceDeclaration(statement)) lines.push(`### ${statement.name.text}`, "", squeeze(doc[lang]), "", ...interfacePart(statement, types, lang, words));
    else if (ts.isTypeAliasDeclaration(statement)) lines.push(`### ${statement.name.text}`, "", squeeze(doc[lang]), "", "```ts", squeeze(statement.type.getText(types)), "```", "");
  }
  return lines.join("\n");
}

function errors(lang) {
  const words = languages[lang];
  const file = source("code.ts");
  const lines = [`# ${words.errors}`, "", words.made, "", words.errorsIntro, "", `| ${words.code} | ${words.name} | ${words.meaning} |`, "|---|---|---|"];
  const table = file.statements.find(ts.isVariableStatement).declarationList.declarations[0].initializer.expression;
  for (const property of table.properties) {
    const doc = comment(property);
    lines.push(`| ${property.initializer.getText(file)} | \`${property.name.getText(file)}\` | ${cell(doc[lang])} |`);
  }
  lines.push("", `## ${words.raw}`, "", `| ${words.code} | ${words.meaning} |`, "|---|---|");
  for (const [number, en, zh] of raw) lines.push(`| ${number} | ${lang === "zh" ? zh : en} |`);
  lines.push("");
  return lines.join("\n");
}

const check = process.argv.includes("--check");
let stale = false;
mkdirSync(out, { recursive: true });
for (const lang of ["en", "zh"]) {
  for (const [name, make] of [["reference", reference], ["error", errors]]) {
    const path = join(out, `${name}${languages[lang].suffix}.md`);
    const text = make(lang);
    if (!check) writeFileSync(path, text);
    else if (readFileSync(path, "utf8") !== text) {
      console.error(`${path} is not up to date: npm run docs`);
      stale = true;
    }
  }
}
process.exit(stale ? 1 : 0);
