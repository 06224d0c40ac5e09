#!/bin/sh
# miniprogram-simulate 1.6.2 with j-component 1.4.10 (npm, WeChat's own simulator of custom components):
# `optionalTypes` of a property is not looked at.
#
# WeChat's documentation lets a property be {type: String, optionalTypes: [Array], value: ""}, and phones then pass an
# array through. The simulator converts to `type` alone: ["push", "pop"] arrives as the string "push,pop", so that a test
# says nothing about what a phone does (live-player's picture-in-picture-mode is such a property). `type: null` (any type)
# is kept by both.
#
# Seen: optionalTypes "push,pop" (string); null ["push","pop"] (object). Fails when that changes.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --no-audit --no-fund --loglevel=error miniprogram-simulate@1.6.2 j-component@1.4.10 jsdom@26.1.0 >/dev/null 2>&1
mkdir comp
echo '{"component": true}' >comp/comp.json
echo '<view>{{either}}</view>' >comp/comp.wxml
cat >comp/comp.js <<'JS'
Component({
  properties: {
    either: { type: String, optionalTypes: [Array], value: "" },
    any: { type: null, value: "" },
  },
});
JS
cat >run.js <<'JS'
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("<body></body>");
Object.assign(global, { window, document: window.document, HTMLElement: window.HTMLElement, Node: window.Node, Event: window.Event, CustomEvent: window.CustomEvent });
const simulate = require("miniprogram-simulate");
const id = simulate.load(require("path").join(__dirname, "comp/comp"), { compiler: "simulate" });
const parent = simulate.load({ usingComponents: { comp: id }, template: '<comp id="c" either="{{list}}" any="{{list}}"></comp>', data: { list: ["push", "pop"] } });
const page = simulate.render(parent);
page.attach(document.body);
const { either, any } = page.querySelector("#c").instance.data;
console.log(`optionalTypes ${JSON.stringify(either)} (${typeof either}); null ${JSON.stringify(any)} (${typeof any})`);
process.exit(typeof either === "string" && Array.isArray(any) ? 0 : 1);
JS
node run.js
