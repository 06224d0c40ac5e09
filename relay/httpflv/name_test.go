package httpflv

import (
	"testing"

	"liverelay/relay"
)

// Addresses as people write and pages join them lead to the stream all the same.
func TestAddressesAsPeopleWriteThem(t *testing.T) {
	d := open(t, short(), nil, nil)
	c := cast(t, d, "live", "")
	if err := c.tags(sample(0, 30)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is live", func() bool { _, ok := d.relay.Stream(relay.Name{App: "live", Stream: "live"}); return ok })
	for _, path := range []string{
		"/live/live.flv?token=" + secret,
		"//live/live.flv?token=" + secret,
		"/live//live.flv?token=" + secret,
		"/live/live.flv/?token=" + secret,
		"/live/%20live.flv?token=" + secret,
		"/live/live.flv%0a?token=" + secret,
		"/live/_definst_/live.flv?token=" + secret,
		"/live/live/live.flv?token=" + secret,
		"/live/live.flv?t=1;x=2&token=" + secret,
		"/live/live.flv?name=50%&token=" + secret,
		"/live/live.flv?a=%zz&token=" + secret,
		"/live/live.flv?a=b/c&token=" + secret,
		"/live/live.flv?token=" + secret + "%0a",
	} {
		if res, text := request(t, "HEAD", d.url+path, nil); res.StatusCode != 200 {
			t.Errorf("%s: %s %s", path, res.Status, text)
		}
	}
}
