"""Token04 for login and signed media URLs, for a Python backend.

    pip install cryptography        (AES-GCM; signed_url needs nothing)

    python3 token04.py token APP_ID USER SECRET SECONDS [PAYLOAD]
    python3 token04.py url BASE APP STREAM publish|play USER SECRET SECONDS

SECRET is the app's 32-character secret from config.yaml. Keep it on the server.
"""
import base64
import hashlib
import hmac
import json
import secrets
import struct
import sys
import time


def token04(app_id, user_id, secret, seconds, payload=""):
    """payload "" permits everything to this user. To restrict, give the JSON text of
    {"room_id": "room1", "privilege": {"1": 1, "2": 1}, "stream_id_list": ["a", "b"]}
    1 = log in, 2 = publish; room_id "" = any room; stream_id_list null = any stream."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = secret.encode()
    if len(key) != 32:
        raise ValueError("the secret must have 32 bytes")
    now = int(time.time())
    expire = now + seconds
    text = json.dumps({
        "app_id": app_id, "user_id": user_id, "nonce": secrets.randbits(32) - 2**31,
        "ctime": now, "expire": expire, "payload": payload,
    }).encode()
    iv = secrets.token_bytes(12)
    sealed = AESGCM(key).encrypt(iv, text, None)
    binary = struct.pack(">qH", expire, len(iv)) + iv + struct.pack(">H", len(sealed)) + sealed + b"\x01"
    return "04" + base64.b64encode(binary).decode()


def signed_url(base, app, stream, action, user, secret, seconds):
    """The plain URL with token= and a JWT (HS256) behind it. More claims: room, session,
    nbf, max_session (true: a running session ends at exp), publish_kbps, rank."""
    def part(b):
        return base64.urlsafe_b64encode(b).rstrip(b"=").decode()

    claims = {"jti": secrets.token_urlsafe(16), "app": app, "stream": stream, "action": action,
              "user": user, "exp": int(time.time()) + seconds}
    text = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"{base}/{app}/{stream}?token={text}.{part(signature)}"


if __name__ == "__main__":
    what, *a = sys.argv[1:] or ["help"]
    if what == "token":
        print(token04(int(a[0]), a[1], a[2], int(a[3]), *a[4:5]))
    elif what == "url":
        print(signed_url(*a[:6], int(a[6])))
    else:
        sys.exit(__doc__)
