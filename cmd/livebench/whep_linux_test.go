package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
	"liverelay/relay/webrtc"
	"liverelay/test/wait"
)

// startWHEP opens the server's own door, for an independent client to be tried at, with a stream
// that is pushed as to the floor. It returns where that goes, and where it plays.
func startWHEP(t *testing.T) (push, play string) {
	t.Helper()
	r := relay.New(relay.Config{PlayWait: wait.Long})
	d := &webrtc.Server{Relay: r, Authorize: func(context.Context, relay.Access) (relay.Grant, error) { return relay.Grant{User: "u"}, nil }}
	if _, err := d.Open(t.Context(), "127.0.0.1:0", false, door.Options{}); err != nil {
		t.Fatal(err)
	}
	name, err := relay.ParseName("live", "b")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := r.Publish(name, relay.PublishOptions{Grant: relay.Grant{User: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(door.NewMux(d.Routes()))
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			publishTags(bufio.NewReaderSize(c, 1<<16), pub)
		}
	}()
	t.Cleanup(func() {
		web.Close()
		l.Close()
		<-pushed
		pub.Close(true)
		ctx, cancel := context.WithTimeout(context.Background(), wait.Long)
		defer cancel()
		if err := d.Close(ctx); err != nil {
			t.Errorf("close the door: %v", err)
		}
		_ = r.Close(ctx)
	})
	return "raw://" + l.Addr().String() + "/b", "whep://" + strings.TrimPrefix(web.URL, "http://") + "/live/b/whep"
}

// publishTags publishes the video of a push until it ends.
func publishTags(r *bufio.Reader, pub *relay.Publisher) {
	for line, err := r.ReadString('\n'); line != "\r\n"; line, err = r.ReadString('\n') {
		if err != nil {
			return
		}
	}
	_, _ = r.Discard(flvFileHeader)
	for {
		h := make([]byte, 11)
		if _, err := io.ReadFull(r, h); err != nil {
			return
		}
		payload := make([]byte, int(h[1])<<16+int(h[2])<<8+int(h[3]))
		if _, err := io.ReadFull(r, payload); err != nil {
			return
		}
		_, _ = r.Discard(4)
		timestamp := uint32(h[7])<<24 | uint32(h[4])<<16 | uint32(h[5])<<8 | uint32(h[6])
		if h[0] == kindVideo && pub.Write(flv.Video, timestamp, payload) != nil {
			return
		}
	}
}

func TestBenchPlaysWHEP(t *testing.T) {
	push, play := startWHEP(t)
	o, err := parseOptions([]string{"--push-url=" + push, "--play-url=" + play, "--audio=0", "--players=8", "--sample=4", "--warmup=100ms",
		"--window=1s", "--gop=200ms", "--settle=300ms", "--joins=10", "--join-hold=50ms", "--threads=2"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r, err := bench(o)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	r.print(&text)
	t.Log("\n" + text.String())
	w := r.Window
	if w.Frames != 30 || w.Latency.Count == 0 || w.Foreign+w.Ended+w.Disorder != 0 {
		t.Errorf("%+v", w)
	}
	if w.Packets < 3*w.Messages { // a frame of 4 kB has four, where none is lost
		t.Errorf("%v packets of %v messages", w.Packets, w.Messages)
	}
}

func TestBenchIsToldWhyWHEPIsRefused(t *testing.T) {
	push, play := startWHEP(t)
	o, err := parseOptions([]string{"--push-url=" + push, "--play-url=" + strings.Replace(play, "/b/", "/%20/", 1), "--audio=0", "--players=2",
		"--gop=200ms", "--window=1s"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bench(o); err == nil || !strings.Contains(err.Error(), "refused: 4") {
		t.Errorf("got %v", err)
	}
}
