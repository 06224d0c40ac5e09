package httpflv

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"liverelay/test/wait"
)

func TestProbeSaysWhatARefusedUpgradeCannot(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "live", "")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	ask := func(path string) (status int, p Probe) {
		t.Helper()
		r, err := http.Get(d.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(b, &p) // of a refusal, there is no probe
		return r.StatusCode, p
	}
	var p Probe
	wait.For(t, "the stream's tracks are known", func() bool {
		_, p = ask("/live/live.flv?probe=1&token=" + secret)
		return p.Stream != nil && p.Stream.Video != nil && p.Stream.Audio != nil
	})
	v := p.Stream.Video
	if p.Result != "ok" || p.Stream.State != "live" || v.Codec != "avc1" || v.Clock <= 0 || v.Clock > 10_000 || v.Age < 0 || v.Age > 120_000 {
		t.Errorf("%+v %+v", p, v)
	}
	if now := float64(time.Now().UnixMilli()); p.Now < now-120_000 || p.Now > now+1 {
		t.Errorf("now is %f", p.Now)
	}
	for path, want := range map[string]string{
		"/live/live.flv?probe=1":                           "denied",
		"/live/live.flv?probe=1&token=x":                   "denied",
		"/live/live.flv?probe=1&publish=1&token=x":         "denied",
		"/live/live.flv?probe=1&publish=1&token=" + secret: "ok",
		"/live/nobody.flv?probe=1&token=" + secret:         "ok",
	} {
		if status, p := ask(path); status != 200 || p.Result != want || want == "denied" && (p.Error == "" || p.Stream != nil) {
			t.Errorf("%s: %d %+v", path, status, p)
		}
	}
	if _, p := ask("/live/nobody.flv?probe=1&token=" + secret); p.Stream == nil || p.Stream.State != "missing" {
		t.Errorf("%+v", p.Stream)
	}
	for _, bad := range []string{"/live/a%20b.flv?probe=1&token=" + secret, "/live/live.flv?probe=2&token=" + secret} {
		if status, _ := ask(bad); status != 400 {
			t.Errorf("%s: %d", bad, status)
		}
	}
}
