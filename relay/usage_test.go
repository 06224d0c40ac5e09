package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"liverelay/relay/flv"
)

// TestUsageIsEveryByteAndSecondOnce: over several readings, a takeover, players that come and go,
// and the end.
func TestUsageIsEveryByteAndSecondOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		sum := map[string]*Usage{}
		read := func() {
			for _, u := range r.Usage() {
				key := u.Action + " " + u.User
				if sum[key] == nil {
					sum[key] = &Usage{}
				}
				sum[key].Bytes += u.Bytes
				sum[key].Seconds += u.Seconds
			}
		}
		sent, written := 0, 0
		write := func(p *Publisher, kind flv.Kind, at uint32, payload []byte) {
			written += len(payload)
			mustWrite(t, p, kind, at, payload)
		}
		publish := func() *Publisher {
			p, err := r.Publish(testName, PublishOptions{Grant: Grant{User: "pub", Takeover: TakeoverSameUser}})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := publish()
		write(p, flv.Video, 0, videoHeader(1))
		write(p, flv.Audio, 0, audioHeader())
		write(p, flv.Video, 0, keyframe(0))
		write(p, flv.Audio, 0, audioFrame(0))
		for round := range 5 {
			s, err := r.Subscribe(t.Context(), testName, SubscribeOptions{Format: testFormat, Options: av, Grant: Grant{User: "play"}})
			if err != nil {
				t.Fatal(err)
			}
			sink := newMemorySink()
			s.Start(sink)
			for i := range 25 {
				time.Sleep(40 * time.Millisecond)
				write(p, flv.Video, uint32(1000*round+40*i), keyframe(i))
				synctest.Wait()
			}
			if round == 2 {
				read()
				p = publish() // in its own place
			}
			s.Close()
			sent += len(sink.data)
			if round%2 == 0 {
				read()
			}
		}
		p.Close(true)
		time.Sleep(time.Minute)
		r.Close(t.Context())
		read()
		read()
		if got := sum["play play"]; got.Bytes != uint64(sent) || got.Seconds < 4.9 || got.Seconds > 5.1 {
			t.Errorf("played %d bytes in %.3f s, want %d in 5 s", got.Bytes, got.Seconds, sent)
		}
		if got := sum["publish pub"]; got.Bytes != uint64(written) || got.Seconds < 4.9 || got.Seconds > 5.1 {
			t.Errorf("published %d bytes in %.3f s, want %d in 5 s", got.Bytes, got.Seconds, written)
		}
	})
}

func TestUsageIsBounded(t *testing.T) {
	var l ledger
	for i := range maxUsage + 1000 {
		l.add(usageKey{name: testName, user: string(rune(i)) + "x", room: string(rune(i / 1000))}, 1, time.Second)
	}
	if len(l.sums) > maxUsage+1 {
		t.Errorf("%d users are told apart", len(l.sums))
	}
}
