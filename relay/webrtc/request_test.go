package webrtc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"liverelay/relay/door"
	"liverelay/test/wait"
)

const (
	asSDP    = "Content-Type: application/sdp"
	asTrick  = "Content-Type: application/trickle-ice-sdpfrag"
	withGood = "Authorization: Bearer good"
)

// Each refusal has its status, and nothing of it stays.
func TestRefusals(t *testing.T) {
	s := open(t, noConfig, func(d *Server) {
		d.Origins = func(string) door.Origins { o, _ := door.ParseOrigins([]string{"https://good.example"}); return o }
	})
	s.publish("a", 500, false, 0)
	s.publish("b", 500, false, 80)
	p := newPeer(t, nil, nil)
	p.receive(pion.RTPCodecTypeVideo)
	offer := p.offer()
	vp8 := strings.ReplaceAll(strings.ReplaceAll(offer, "H264/90000", "VP8/90000"), "packetization-mode=1", "x=1")
	for _, g := range []struct {
		name, method, path, body string
		headers                  []string
		want                     int
		text                     string
	}{
		{"no grant", "POST", "/live/a/whep", offer, []string{asSDP}, 401, "token"},
		{"bad grant", "POST", "/live/a/whep?token=bad", offer, []string{asSDP}, 403, "denied"},
		{"wrong type", "POST", "/live/a/whep", offer, []string{"Content-Type: text/plain", withGood}, 415, "type"},
		{"no type", "POST", "/live/a/whep", offer, []string{withGood}, 415, "type"},
		{"no SDP", "POST", "/live/a/whep", "hello", []string{asSDP, withGood}, 422, "SDP"},
		{"empty", "POST", "/live/a/whep", "", []string{asSDP, withGood}, 422, "SDP"},
		{"no ICE", "POST", "/live/a/whep", strings.ReplaceAll(offer, "a=ice-ufrag", "a=x"), []string{asSDP, withGood}, 422, "SDP"},
		{"no DTLS", "POST", "/live/a/whep", strings.ReplaceAll(offer, "a=fingerprint", "a=x"), []string{asSDP, withGood}, 422, "SDP"},
		{"too large", "POST", "/live/a/whep", offer + strings.Repeat("a=x\r\n", 20_000), []string{asSDP, withGood}, 413, "large"},
		{"no common codec", "POST", "/live/a/whep", vp8, []string{asSDP, withGood}, 422, "codec"},
		{"sends only", "POST", "/live/a/whep", strings.ReplaceAll(offer, "a=recvonly", "a=sendonly"), []string{asSDP, withGood}, 422, "codec"},
		{"B-frames", "POST", "/live/b/whep?token=good", offer, []string{asSDP}, 422, "B-frames"},
		{"no stream", "POST", "/live/none/whep", offer, []string{asSDP, withGood}, 404, "no such stream"},
		{"bad name", "POST", "/live/a%20b/whep", offer, []string{asSDP, withGood}, 400, "name"},
		{"bad option", "POST", "/live/a/whep?start=x", offer, []string{asSDP, withGood}, 400, "bad request"},
		{"GET", "GET", "/live/a/whep", "", nil, 405, "method"},
		{"a foreign page", "POST", "/live/a/whep", offer, []string{asSDP, withGood, "Origin: https://bad.example"}, 403, "origin"},
		{"DELETE of none", "DELETE", "/live/a/whep/none", "", nil, 404, "session"},
		{"PATCH of none", "PATCH", "/live/a/whep/none", "a=x", []string{asTrick}, 404, "session"},
	} {
		resp, body := s.do(g.method, g.path, g.body, g.headers...)
		if resp.StatusCode != g.want || !strings.Contains(body, g.text) {
			t.Errorf("%s: %d %s, want %d with %q", g.name, resp.StatusCode, body, g.want, g.text)
		}
		if link := resp.Header.Get("Link"); g.name == "B-frames" && link != `</live/b.flv?token=good>; rel="alternate"; type="video/x-flv"` {
			t.Errorf("B-frames: Link %s", link)
		}
		if g.want == 401 && resp.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: no WWW-Authenticate", g.name)
		}
	}
	if got := s.door.Stats(); got.Open != 0 || len(s.relay.Players(noName)) != 0 {
		t.Errorf("left: %+v, %d players", got, len(s.relay.Players(noName)))
	}
}

// OPTIONS asks for no grant, and tells of ICE servers; of those with credentials to whoever shows a
// grant.
func TestOptions(t *testing.T) {
	s := open(t, noConfig, func(d *Server) {
		d.Origins = func(string) door.Origins { o, _ := door.ParseOrigins([]string{"*"}); return o }
		d.ICEServers = []ICEServer{{URLs: []string{"stun:s.example"}}, {URLs: []string{"turn:t.example"}, Secret: "x", Username: "n", TTL: time.Hour}}
	})
	resp, _ := s.do("OPTIONS", "/live/a/whep", "", "Origin: https://page.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
	h := resp.Header
	if resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://page.example" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "Location, ETag, Link") {
		t.Errorf("preflight: %d %v", resp.StatusCode, h)
	}
	resp, _ = s.do("OPTIONS", "/live/a/whep/x", "", "Origin: https://page.example", "Access-Control-Request-Method: PATCH")
	if !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "PATCH") {
		t.Errorf("preflight of a session: %v", resp.Header)
	}
	resp, _ = s.do("OPTIONS", "/live/a/whep", "")
	if links := resp.Header.Values("Link"); len(links) != 1 || links[0] != `<stun:s.example>; rel="ice-server"` || resp.Header.Get("Accept-Post") != typeSDP {
		t.Errorf("without a grant: %v", resp.Header)
	}
	resp, _ = s.do("OPTIONS", "/live/a/whep", "", withGood)
	links := resp.Header.Values("Link")
	if len(links) != 2 || !strings.HasPrefix(links[1], `<turn:t.example>; rel="ice-server"; username="`) || !strings.Contains(links[1], `:n"; credential="`) {
		t.Errorf("with a grant: %v", links)
	}
	if resp, _ := s.do("OPTIONS", "/live/a/whep?token=bad", ""); resp.StatusCode != 403 {
		t.Errorf("with a bad grant: %d", resp.StatusCode)
	}
}

// The credentials are those that a TURN server with the same secret computes.
func TestTURNCredentials(t *testing.T) {
	username, credential := ICEServer{Secret: "north", Username: "u", TTL: time.Minute}.credentials(time.Unix(1_700_000_000, 0))
	if username != "1700000060:u" || credential != "6OBlnobrVyttQ8xyTE1TO9GY7J8=" {
		t.Errorf("%s %s", username, credential)
	}
}

// A fragment without news changes nothing; other credentials are an ICE restart, after which the
// old ETag is stale. None of it ends the session.
func TestTrickleAndRestart(t *testing.T) {
	s := open(t, noConfig, nil)
	s.publish("a", 500, false, 0)
	p := newPeer(t, nil, nil)
	p.receive(pion.RTPCodecTypeVideo)
	offer := p.offer()
	resp, body := s.do(http.MethodPost, "/live/a/whep?token=good", offer, asSDP)
	if resp.StatusCode != 201 {
		t.Fatal(resp.StatusCode, body)
	}
	location, etag := resp.Header.Get("Location"), resp.Header.Get("ETag")
	p.answered(body)
	wait.For(t, "video", func() bool { n, _ := p.got(); return n > 10 })
	ufrag, pwd, _ := fragmentCredentials([]byte(offer))
	same := "a=ice-ufrag:" + ufrag + "\r\na=ice-pwd:" + pwd + "\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 198.51.100.1 9 typ host\r\n"
	for _, g := range []struct {
		body, match string
		want        int
	}{
		{same, etag, 204}, {same, "", 204}, {same, "*", 204}, {same, `"stale"`, 412}, {"nonsense", etag, 400}, {"", etag, 400},
		{"a=candidate:nonsense\r\n", etag, 204}, {"a=ice-ufrag:x\r\na=ice-pwd:y\r\n", etag, 204},
		{"a=ice-ufrag:abcdefgh\r\na=ice-pwd:abcdefghabcdefghabcdefgh\r\n", "", 428},
	} {
		headers := []string{asTrick}
		if g.match != "" {
			headers = append(headers, "If-Match: "+g.match)
		}
		if resp, body := s.do(http.MethodPatch, location, g.body, headers...); resp.StatusCode != g.want {
			t.Errorf("%q, If-Match %s: %d %s, want %d", g.body, g.match, resp.StatusCode, body, g.want)
		}
	}
	if resp, _ := s.do(http.MethodPatch, location, same, asSDP); resp.StatusCode != 415 {
		t.Errorf("wrong type: %d", resp.StatusCode)
	}

	again, err := p.pc.CreateOffer(&pion.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.pc.SetLocalDescription(again); err != nil {
		t.Fatal(err)
	}
	ufrag, pwd, _ = fragmentCredentials([]byte(again.SDP))
	resp, fragment := s.do(http.MethodPatch, location, "a=ice-ufrag:"+ufrag+"\r\na=ice-pwd:"+pwd+"\r\n", asTrick, "If-Match: *")
	if resp.StatusCode != 200 || resp.Header.Get("ETag") == etag || !strings.Contains(fragment, "a=candidate:") {
		t.Fatalf("restart: %d %v\n%s", resp.StatusCode, resp.Header, fragment)
	}
	ours, pass, _ := fragmentCredentials([]byte(fragment))
	o := offerOf(t, body).restarted(ours, pass)
	var candidates strings.Builder
	for line := range strings.Lines(fragment) {
		if strings.HasPrefix(line, "a=candidate:") {
			candidates.WriteString(line)
		}
	}
	p.answered(o.text + candidates.String())
	before, _ := p.got()
	wait.For(t, "video after the restart", func() bool { n, _ := p.got(); return n > before+50 })
	if resp, _ := s.do(http.MethodPatch, location, same, asTrick, "If-Match: "+etag); resp.StatusCode != 412 {
		t.Errorf("the old ETag: %d", resp.StatusCode)
	}
}

// offerOf reads an answer as one reads an offer.
func offerOf(t *testing.T, sdp string) offer {
	t.Helper()
	return offer{text: sdp}
}

// Whatever stands in an offer, it is refused or read, and a restart changes its credentials alone.
func FuzzOffer(f *testing.F) {
	f.Add("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 AA\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghabcdefghabcdef\r\na=setup:actpass\r\na=recvonly\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n", false)
	f.Add("v=0\r\nm=audio 9 X 111\r\na=rtpmap:111\r\na=fmtp\r\n", true)
	f.Fuzz(func(t *testing.T, sdp string, publish bool) {
		o, err := readOffer([]byte(sdp), publish)
		if err != nil {
			return
		}
		again, err := readOffer([]byte(o.restarted("wxyz", "wxyzwxyzwxyzwxyzwxyzwxyz").text), publish)
		if err == nil && (again.h264 != o.h264 || again.opus != o.opus || again.sections != o.sections) {
			t.Errorf("%+v became %+v", o, again)
		}
	})
}

// So for fragments.
func FuzzFragment(f *testing.F) {
	f.Add("a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghabcdefghabcdef\r\nm=audio 9 X 0\r\n")
	f.Add("\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		ufrag, pwd, err := fragmentCredentials([]byte(text))
		if (ufrag == "") != (pwd == "") || err != nil && ufrag != "" || strings.ContainsAny(ufrag+pwd, "\r\n: ") {
			t.Errorf("%q %q %v", ufrag, pwd, err)
		}
		_ = iceFragment(text)
	})
}
