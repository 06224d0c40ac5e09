package webrtc

import (
	"strings"
	"testing"
)

const fingerprintLine = "a=fingerprint:sha-256 0F:74:31:25:CB:A2:13:EC:28:6F:6D:2C:61:FF:5D:C2:BC:B9:DB:3D:98:14:8D:1A:BB:EA:33:0C:A4:60:A8:8E"

// bareOffer has no candidate and no PLI, and tells its DTLS role, as a small encoder may. It was
// written for this test: no program sent it.
func bareOffer(setup string) string {
	section := func(media, mid, codec string) string {
		return media + "\nc=IN IP4 0.0.0.0\na=ice-ufrag:4f2a9c01\na=ice-pwd:5d1c0e7a5d1c0e7a5d1c0e7a5d1c0e7a\n" + fingerprintLine + "\na=setup:" + setup +
			"\na=mid:" + mid + "\na=sendonly\na=msid:encoder media\na=rtcp-mux\n" + codec
	}
	return "v=0\no=encoder 4489045141692799359 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0 1\na=extmap-allow-mixed\na=msid-semantic: WMS\n" +
		section("m=audio 9 UDP/TLS/RTP/SAVPF 111", "0", "a=rtpmap:111 opus/48000/2\na=ssrc:1001 cname:encoder\na=ssrc:1001 msid:encoder audio\n") +
		section("m=video 9 UDP/TLS/RTP/SAVPF 106 105", "1", "a=rtcp-rsize\na=rtpmap:106 H264/90000\n"+
			"a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c01f\na=rtcp-fb:106 nack\na=rtpmap:105 rtx/90000\na=fmtp:105 apt=106\n"+
			"a=ssrc-group:FID 1002 1003\na=ssrc:1002 cname:encoder\na=ssrc:1002 msid:encoder video\n")
}

// sessionOffer is one whose ICE credentials, fingerprint and DTLS role stand once, in front of its
// sections (RFC 8839 §5.4, RFC 8842 §5.1). It was written for this test.
const sessionOffer = "v=0\no=rtc 3767197920 0 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0 1\na=group:LS 0 1\na=msid-semantic:WMS *\na=setup:actpass\na=ice-ufrag:jBga\n" +
	"a=ice-pwd:xc0wyX8AfkHlnJbGBiA7XU\na=ice-options:ice2,trickle\n" + fingerprintLine + "\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 0.0.0.0\na=mid:0\na=sendonly\na=ssrc:1339 cname:camera\na=ssrc:1339 msid:camera camera-audio\na=msid:camera camera-audio\na=rtcp-mux\n" +
	"a=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\nc=IN IP4 0.0.0.0\na=mid:1\na=sendonly\na=ssrc:1340 cname:camera\na=ssrc:1340 msid:camera camera-video\na=msid:camera camera-video\na=rtcp-mux\n" +
	"a=rtpmap:96 H264/90000\na=rtcp-fb:96 nack\na=rtcp-fb:96 nack pli\na=rtcp-fb:96 goog-remb\na=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\n"

// Offers in shapes that browsers do not make are answered: what their clients send is taken under
// their own payload types, and we have the other part in DTLS.
func TestOffersOfOtherShapes(t *testing.T) {
	s := open(t, noConfig, nil)
	for name, g := range map[string]struct {
		offer string
		want  []string
	}{
		"bare, passive": {bareOffer("passive"), []string{"a=setup:active", "a=rtpmap:106 H264/90000", "a=rtpmap:111 opus/48000/2"}},
		"bare, active":  {bareOffer("active"), []string{"a=setup:passive", "a=rtpmap:106 H264/90000", "a=rtpmap:111 opus/48000/2"}},
		"told once":     {sessionOffer, []string{"a=setup:passive", "a=rtpmap:96 H264/90000", "a=rtcp-fb:96 nack pli", "a=rtpmap:111 opus/48000/2"}},
	} {
		resp, body := s.do("POST", "/live/a/whip", strings.ReplaceAll(g.offer, "\n", "\r\n"), asSDP, withGood)
		if resp.StatusCode != 201 {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
			continue
		}
		for _, line := range append(g.want, "a=group:BUNDLE 0 1", "a=candidate:") {
			if !strings.Contains(body, line) {
				t.Errorf("%s: no %s in\n%s", name, line, body)
			}
		}
		if n := strings.Count(body, "a=recvonly"); n != 2 {
			t.Errorf("%s: %d sections receive", name, n)
		}
		if resp, _ := s.do("DELETE", resp.Header.Get("Location"), ""); resp.StatusCode != 200 {
			t.Errorf("%s: DELETE %d", name, resp.StatusCode)
		}
	}
}
