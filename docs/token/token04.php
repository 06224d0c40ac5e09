<?php
// Token04 for login and signed media URLs, for a PHP backend (7.1 or newer, 64 bit, with openssl).
//
//   php token04.php token APP_ID USER SECRET SECONDS [PAYLOAD]
//   php token04.php url BASE APP STREAM publish|play USER SECRET SECONDS
//
// SECRET is the app's 32-character secret from config.yaml. Keep it on the server.

// $payload: "" permits everything to this user. To restrict, give the JSON text
// {"room_id":"room1","privilege":{"1":1,"2":1},"stream_id_list":["a","b"]}
// 1 = log in, 2 = publish; room_id "" = any room; stream_id_list null = any stream.
// (With json_encode write the privileges as (object)[1 => 1, 2 => 1].)
function token04(int $appId, string $userId, string $secret, int $seconds, string $payload = ''): string
{
    if (strlen($secret) !== 32) {
        throw new InvalidArgumentException('the secret must have 32 bytes');
    }
    $now = time();
    $expire = $now + $seconds;
    $text = json_encode([
        'app_id' => $appId, 'user_id' => $userId, 'nonce' => random_int(-2147483648, 2147483647),
        'ctime' => $now, 'expire' => $expire, 'payload' => $payload,
    ]);
    $iv = random_bytes(12);
    $tag = '';
    $sealed = openssl_encrypt($text, 'aes-256-gcm', $secret, OPENSSL_RAW_DATA, $iv, $tag, '', 16) . $tag;
    return '04' . base64_encode(pack('J', $expire) . pack('n', strlen($iv)) . $iv . pack('n', strlen($sealed)) . $sealed . "\x01");
}

// The plain URL with token= and a JWT (HS256) behind it. More claims: room, session,
// nbf, max_session (true: a running session ends at exp), publish_kbps, rank.
function signed_url(string $base, string $app, string $stream, string $action, string $user, string $secret, int $seconds): string
{
    $part = function (string $b): string {
        return rtrim(strtr(base64_encode($b), '+/', '-_'), '=');
    };
    $claims = ['jti' => bin2hex(random_bytes(16)), 'app' => $app, 'stream' => $stream, 'action' => $action,
        'user' => $user, 'exp' => time() + $seconds];
    $text = $part('{"alg":"HS256","typ":"JWT"}') . '.' . $part(json_encode($claims));
    return "$base/$app/$stream?token=$text." . $part(hash_hmac('sha256', $text, $secret, true));
}

if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    $a = array_slice($argv, 2);
    if (($argv[1] ?? '') === 'token') {
        echo token04((int) $a[0], $a[1], $a[2], (int) $a[3], $a[4] ?? ''), "\n";
    } elseif (($argv[1] ?? '') === 'url') {
        echo signed_url($a[0], $a[1], $a[2], $a[3], $a[4], $a[5], (int) $a[6]), "\n";
    } else {
        exit(2);
    }
}
