// The link for others, and its QR code.
import { useEffect, useState } from "preact/hooks";
import { encode } from "uqr";
import type { Call } from "./call.js";
import { demoLogin, toLink } from "./login.js";
import { Copy, Dialog, type Text } from "./view.js";

export function Share({ call, t, onClose }: { call: Call; t: Text; onClose(): void }) {
  const [link, setLink] = useState("");
  const [own, setOwn] = useState(false);
  const { app, room } = call.login;
  useEffect(() => {
    if (own) return setLink(toLink(call.login));
    if (!call.demo) return setLink(toLink({ app, room, user: "", token: "" }));
    // Each link is another guest's: two with one login would throw each other out.
    let current = true;
    demoLogin().then(
      (login) => current && setLink(toLink(login ?? { app, room, user: "", token: "" })),
      () => current && setLink(toLink({ app, room, user: "", token: "" })),
    );
    return () => {
      current = false;
    };
  }, [own, call, app, room]);
  const local = /^(localhost|127\.|\[::1\])/.test(location.host);
  return (
    <Dialog title={t("shareTitle")} t={t} onClose={onClose}>
      <p>{own ? t("shareOwnHelp") : call.demo ? t("shareDemo") : t("shareRoom")}</p>
      <div class="link">
        <label class="visually-hidden" for="share-link">
          {t("link")}
        </label>
        <input id="share-link" readOnly value={link} onFocus={(e) => e.currentTarget.select()} />
        <Copy text={link} t={t} />
      </div>
      {link && <QrCode text={link} label={t("qr")} />}
      {local && <p class="notice warn">{t("shareLocal")}</p>}
      <label class="check">
        <input type="checkbox" checked={own} onChange={(e) => setOwn(e.currentTarget.checked)} />
        <span>{t("shareOwn")}</span>
      </label>
    </Dialog>
  );
}

function QrCode({ text, label }: { text: string; label: string }) {
  const { data, size } = encode(text, { ecc: "L", border: 3 });
  const path = data.map((row, y) => row.map((on, x) => (on ? `M${x} ${y}h1v1h-1z` : "")).join("")).join("");
  return (
    <svg class="qr" role="img" aria-label={label} viewBox={`0 0 ${size} ${size}`} shape-rendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
