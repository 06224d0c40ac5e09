package relay

import (
	"context"
	"crypto/tls"
	"sync"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/socket"
	"liverelay/relay/socket/sockettest"
)

// tlsPair is tcpPair under TLS.
func tlsPair(t *testing.T, config *tls.Config) (server, client *tls.Conn) {
	t.Helper()
	s, c := sockettest.Pair(t)
	s.SetWriteBuffer(16 << 10)
	c.SetReadBuffer(16 << 10)
	return sockettest.TLS(t, socket.NewConn(s, nil), c, config, 0)
}

// Players over TLS get everything, and those of them that take nothing hold up neither them nor the
// plain ones, who have each frame while the others are stuck.
func TestTLSPlayersDisturbNobody(t *testing.T) {
	config := sockettest.SelfSigned(t)
	r := newTestRelay(t, Config{Backlog: time.Hour, WriteTimeout: time.Hour})
	p := mustPublish(t, r, "")
	begin(t, p, 0)
	mustWrite(t, p, flv.Video, 0, keyframe(0))
	mustWrite(t, p, flv.Audio, 0, audioFrame(0))
	const stuck, reading, plain, frames = 20, 2, 10, 40
	var wait sync.WaitGroup
	for i := range stuck + reading {
		server, client := tlsPair(t, config)
		s, err := r.Subscribe(context.Background(), testName, SubscribeOptions{Format: testFormat, Options: av,
			OnEnd: func(error) { server.NetConn().Close() }})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(socket.NewSink(server))
		if i < stuck {
			continue
		}
		wait.Go(func() {
			if lines := splitLines(readSlowly(client, 0)); len(lines) != 5+frames {
				t.Errorf("a player over TLS got %d messages, want %d", len(lines), 5+frames)
			}
		})
	}
	sink := new(countingSink)
	players := manySubscribers(t, r, plain, func() socket.Sink { return sink })
	await(t, "the plain players to begin", func() bool { return sink.bytes.Load() > 0 })
	for n := 1; n <= frames; n++ {
		before := sink.bytes.Load()
		frame := append(interframe(n), make([]byte, 8<<10)...)
		mustWrite(t, p, flv.Video, uint32(n), frame)
		await(t, "the plain players to have a frame", func() bool { return sink.bytes.Load()-before >= int64(plain*len(frame)) })
	}
	if len(players) != plain || p.stream.viewers.Load() != stuck+reading+plain {
		t.Errorf("%d viewers", p.stream.viewers.Load())
	}
	p.Close(true)
	wait.Wait()
}
