import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.UUID;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Token04 for login and signed media URLs, for a Java backend (11 or newer, no libraries).
 *
 * <pre>
 * java Token04.java token APP_ID USER SECRET SECONDS [PAYLOAD]
 * java Token04.java url BASE APP STREAM publish|play USER SECRET SECONDS
 * </pre>
 *
 * SECRET is the app's 32-character secret from config.yaml. Keep it on the server.
 */
public final class Token04 {
    private static final SecureRandom RANDOM = new SecureRandom();

    /**
     * A payload of "" permits everything to this user. To restrict, give the JSON text
     * {"room_id":"room1","privilege":{"1":1,"2":1},"stream_id_list":["a","b"]}
     * 1 = log in, 2 = publish; room_id "" = any room; stream_id_list null = any stream.
     */
    public static String token04(long appId, String userId, String secret, long seconds, String payload) throws Exception {
        byte[] key = secret.getBytes(StandardCharsets.UTF_8);
        if (key.length != 32) {
            throw new IllegalArgumentException("the secret must have 32 bytes");
        }
        long now = System.currentTimeMillis() / 1000;
        long expire = now + seconds;
        String text = "{\"app_id\":" + appId + ",\"user_id\":" + quote(userId) + ",\"nonce\":" + RANDOM.nextInt()
                + ",\"ctime\":" + now + ",\"expire\":" + expire + ",\"payload\":" + quote(payload) + "}";
        byte[] iv = new byte[12];
        RANDOM.nextBytes(iv);
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
        byte[] sealed = cipher.doFinal(text.getBytes(StandardCharsets.UTF_8));
        ByteBuffer b = ByteBuffer.allocate(8 + 2 + iv.length + 2 + sealed.length + 1);
        b.putLong(expire).putShort((short) iv.length).put(iv).putShort((short) sealed.length).put(sealed).put((byte) 1);
        return "04" + Base64.getEncoder().encodeToString(b.array());
    }

    /**
     * The plain URL with token= and a JWT (HS256) behind it. More claims: room, session,
     * nbf, max_session (true: a running session ends at exp), publish_kbps, rank.
     */
    public static String signedUrl(String base, String app, String stream, String action, String user, String secret, long seconds)
            throws Exception {
        String claims = "{\"jti\":" + quote(UUID.randomUUID().toString()) + ",\"app\":" + quote(app) + ",\"stream\":" + quote(stream)
                + ",\"action\":" + quote(action) + ",\"user\":" + quote(user)
                + ",\"exp\":" + (System.currentTimeMillis() / 1000 + seconds) + "}";
        Base64.Encoder part = Base64.getUrlEncoder().withoutPadding();
        String text = part.encodeToString("{\"alg\":\"HS256\",\"typ\":\"JWT\"}".getBytes(StandardCharsets.UTF_8)) + "."
                + part.encodeToString(claims.getBytes(StandardCharsets.UTF_8));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        return base + "/" + app + "/" + stream + "?token=" + text + "." + part.encodeToString(mac.doFinal(text.getBytes(StandardCharsets.UTF_8)));
    }

    /** A JSON string; with a JSON library at hand use that. */
    private static String quote(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            if (c == '"' || c == '\\') {
                b.append('\\').append(c);
            } else if (c < 0x20) {
                b.append(String.format("\\u%04x", (int) c));
            } else {
                b.append(c);
            }
        }
        return b.append('"').toString();
    }

    public static void main(String[] a) throws Exception {
        if (a.length >= 5 && a[0].equals("token")) {
            System.out.println(token04(Long.parseLong(a[1]), a[2], a[3], Long.parseLong(a[4]), a.length > 5 ? a[5] : ""));
        } else if (a.length == 8 && a[0].equals("url")) {
            System.out.println(signedUrl(a[1], a[2], a[3], a[4], a[5], a[6], Long.parseLong(a[7])));
        } else {
            System.exit(2);
        }
    }
}
