package relay

import (
	"errors"
	"strings"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// The limit of a grant is kept by the core: no door can forget it, or let more through than
// another.
func TestPublisherKeepsToItsGrant(t *testing.T) {
	r := newTestRelay(t, Config{})
	p, err := r.Publish(Name{"live", "s"}, PublishOptions{Grant: Grant{PublishKbps: 8}}) // 10,000 bytes at once
	if err != nil {
		t.Fatal(err)
	}
	payload := func() []byte { return append(keyframe(1), make([]byte, 4000)...) }
	if err := p.Write(flv.Video, 0, payload()); err != nil {
		t.Error(err)
	}
	buffer := p.Buffer(4000)
	copy(buffer[Headroom:], keyframe(1))
	if err := p.WriteBuffer(flv.Video, 40, buffer); err != nil {
		t.Error(err)
	}
	if err := p.Spend(1000); err != nil {
		t.Error(err)
	}
	if err := p.Write(flv.Video, 80, payload()); !errors.Is(err, ErrRate) || !strings.Contains(err.Error(), "8 kbit/s") {
		t.Errorf("above its rate: %v", err)
	}
	if err := p.Spend(1); !errors.Is(err, ErrRate) {
		t.Errorf("what is not written: %v", err)
	}
}

func TestRate(t *testing.T) {
	r := allowance{kbps: 80} // 10,000 bytes a second
	now := time.Unix(1000, 0)
	ok := true
	for i := range 100 {
		ok = ok && r.take(10000, now.Add(time.Duration(i)*time.Second))
	}
	if !ok {
		t.Error("refused at the rate")
	}
	n := 0
	for i := 100; r.take(20000, now.Add(time.Duration(i)*time.Second)); i++ {
		n++
	}
	if n < 5 || n > 11 {
		t.Errorf("twice the rate refused after %d s", n)
	}
}
