package httpflv

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. Never a measure.
const patience = wait.Long

// testDoor is a relay with this door in front, for one test.
type testDoor struct {
	t     *testing.T
	relay *relay.Relay
	http  *Handler
	url   string // http://host:port
	log   *proc.Output
	asked atomic.Int64 // accesses authorised so far
	done  func()
}

const secret = "s3cr3t-in-the-token"

// authorize lets in who has the token, as the user it names.
func authorize(_ context.Context, a relay.Access) (relay.Grant, error) {
	token, user, _ := strings.Cut(a.Query.Get("token"), ":")
	if token != secret {
		return relay.Grant{}, fmt.Errorf("%w: bad token", relay.ErrDenied)
	}
	g := relay.Grant{User: user}
	if user == "slow" {
		g.PublishKbps = 8
	}
	return g, nil
}

func open(t *testing.T, config relay.Config, change func(*Handler), listener func(net.Listener) net.Listener) *testDoor {
	t.Helper()
	d := &testDoor{t: t, relay: relay.New(config), log: &proc.Output{}}
	d.http = &Handler{
		Relay: d.relay,
		Authorize: func(ctx context.Context, a relay.Access) (relay.Grant, error) {
			defer d.asked.Add(1)
			return authorize(ctx, a)
		},
		Origins: func(app string) door.Origins {
			if app != "live" {
				return door.Origins{}
			}
			good, _ := door.ParseOrigins([]string{"https://good.example"})
			return good
		},
		Log: slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(d.http)
	}
	behind, err := door.Listen(t.Context(), "127.0.0.1:0", door.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { behind.Close() })
	l := net.Listener(behind)
	d.url = "http://" + l.Addr().String()
	if listener != nil {
		l = listener(l)
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	srv := &http.Server{Handler: d.http, Protocols: protocols, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.NewTextHandler(d.log, nil), slog.LevelError)}
	served := make(chan struct{})
	go func() {
		srv.Serve(l)
		close(served)
	}()
	var once sync.Once
	d.done = func() {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := d.http.Close(ctx); err != nil {
				t.Error("close the door: ", err)
			}
			srv.Close()
			<-served
			if err := d.relay.Close(ctx); err != nil {
				t.Error("close the relay: ", err)
			}
			if s := d.http.Stats(); s.Players[ProtocolHTTP] != 0 || s.Players[ProtocolWS] != 0 || s.Publishers != 0 {
				t.Errorf("after the end: %+v", s)
			}
			if strings.Contains(d.log.String(), secret) {
				t.Error("the token is in the log:\n", d.log.String())
			}
			if strings.Contains(d.log.String(), "panic") {
				t.Error(d.log.String())
			}
		})
	}
	t.Cleanup(d.done)
	return d
}

// short makes every wait of the relay short enough for a test.
func short() relay.Config {
	return relay.Config{PlayWait: 200 * time.Millisecond, ResumeWindow: 300 * time.Millisecond}
}

// play returns the URL of a stream, with a token. The query, if any, begins with "&".
func (d *testDoor) play(stream, query string) string {
	return d.url + "/live/" + stream + ".flv?" + strings.TrimPrefix(query+"&", "&") + "token=" + secret
}

// waiting returns when so many players have asked and had the time to wait for the stream.
func (d *testDoor) waiting(n int64) {
	d.t.Helper()
	eventually(d.t, "players wait", func() bool { return d.asked.Load() >= n })
	time.Sleep(100 * time.Millisecond)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A made stream: metadata, both sequence headers, then frames with a keyframe
// every 25, sound between, some of them empty. Every payload is different.
func sample(first uint32, frames int) []flv.Tag {
	tags := []flv.Tag{
		{Kind: flv.Script, Timestamp: first, Payload: append([]byte("\x02\x00\x0aonMetaData\x08\x00\x00\x00\x02"), "\x00\x0caudiocodecid\x00\x40\x24\x00\x00\x00\x00\x00\x00\x00\x0cvideocodecid\x00\x40\x1c\x00\x00\x00\x00\x00\x00\x00\x00\x09"...)},
		{Kind: flv.Video, Timestamp: first, Payload: []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 0}},
		{Kind: flv.Audio, Timestamp: first, Payload: []byte{0xaf, 0, 0x12, 0x10}},
	}
	random := rand.New(rand.NewPCG(1, uint64(first)))
	body := func(n int, head ...byte) []byte {
		b := append([]byte(nil), head...)
		for range n {
			b = append(b, byte(random.Uint32()))
		}
		return b
	}
	for i := range frames {
		ts := first + uint32(i*40)
		if i%25 == 0 {
			tags = append(tags, flv.Tag{Kind: flv.Video, Timestamp: ts, Payload: body(20_000, 0x17, 1, 0, 0, byte(i))})
		} else {
			tags = append(tags, flv.Tag{Kind: flv.Video, Timestamp: ts, Payload: body(100+i, 0x27, 1, 0xff, 0xff, byte(i))})
		}
		audio := flv.Tag{Kind: flv.Audio, Timestamp: ts + 13, Payload: body(40+i, 0xaf, 1)}
		if i%40 == 39 {
			audio.Payload = nil
		}
		tags = append(tags, audio)
	}
	return tags
}

func kinds(tags []flv.Tag, keep ...flv.Kind) []flv.Tag {
	var kept []flv.Tag
	for _, tag := range tags {
		for _, k := range keep {
			if tag.Kind == k {
				kept = append(kept, tag)
			}
		}
	}
	return kept
}

func same(a, b flv.Tag) bool {
	return a.Kind == b.Kind && a.Timestamp == b.Timestamp && bytes.Equal(a.Payload, b.Payload)
}

func compare(t *testing.T, who string, got, want []flv.Tag) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !same(got[i], want[i]) {
			t.Fatalf("%s: tag %d is %v %d with %d bytes, want %v %d with %d bytes", who, i,
				got[i].Kind, got[i].Timestamp, len(got[i].Payload), want[i].Kind, want[i].Timestamp, len(want[i].Payload))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d tags, want %d", who, len(got), len(want))
	}
}

func settings(publishTimeout time.Duration) *door.Settings {
	s := &door.Settings{}
	s.Set(door.Defaults{PublishTimeout: publishTimeout})
	return s
}
