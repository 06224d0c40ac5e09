package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"liverelay/relay/flv"
	"liverelay/relay/rtmp"
)

const viewerPause = 300 * time.Millisecond // before a player connects again

// viewer is a player that connects again whenever it is cut off, and holds what it gets to what is
// promised: the frames of one session of the publisher at a time and never of an earlier one again,
// a clock that does not go back, a keyframe after whatever is missing.
type viewer struct {
	user   string
	stream int
	url    string
	stop   context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	faults []string // guarded by mu
	cuts   int      // connections that ended, and were not to
	why    string   // the last one did
	seen   seen
	gap    time.Duration // the longest since the last reset
	from   time.Time     // of the reset
	first  map[uint32]time.Time
}

// seen is the newest frame.
type seen struct {
	session, frame, stamp uint32
	at                    time.Time
}

func watch(user string, stream int, url string) *viewer {
	ctx, cancel := context.WithCancel(context.Background())
	v := &viewer{user: user, stream: stream, url: url, stop: cancel, done: make(chan struct{}), first: map[uint32]time.Time{}}
	go v.run(ctx)
	return v
}

func (v *viewer) end() {
	v.stop()
	<-v.done
}

func (v *viewer) run(ctx context.Context) {
	defer close(v.done)
	for ctx.Err() == nil {
		err := v.play(ctx)
		if ctx.Err() != nil {
			return
		}
		v.mu.Lock()
		if !errors.Is(err, errNotPlaying) {
			v.cuts++
			v.why = err.Error()
		}
		v.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(viewerPause):
		}
	}
}

// errNotPlaying: the connection did not come to be.
var errNotPlaying = errors.New("not playing")

// next reads a tag of whatever door.
type next func() (flv.Kind, uint32, []byte, error)

func (v *viewer) play(ctx context.Context) error {
	read, stop, err := open(ctx, v.url)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotPlaying, err)
	}
	defer stop()
	begins := true
	for {
		kind, stamp, payload, err := read()
		if err != nil {
			if begins {
				return fmt.Errorf("%w: %w", errNotPlaying, err)
			}
			return err
		}
		if kind == flv.Video && len(payload) > 12 && payload[1] == 1 {
			v.take(begins, stamp, payload)
			begins = false
		}
	}
}

// take looks at a frame; begins: the first of a connection.
func (v *viewer) take(begins bool, stamp uint32, payload []byte) {
	now := seen{binary.BigEndian.Uint32(payload[5:]), binary.BigEndian.Uint32(payload[9:]), stamp, time.Now()}
	key := payload[0]>>4 == 1
	v.mu.Lock()
	defer v.mu.Unlock()
	last := v.seen
	wrong := func(format string, args ...any) {
		if len(v.faults) < 5 {
			v.faults = append(v.faults, fmt.Sprintf("%s after %+v: %+v", fmt.Sprintf(format, args...), last, now))
		}
	}
	switch {
	case now.session < last.session:
		wrong("an earlier session")
	case !begins && now.stamp < last.stamp:
		wrong("the clock goes back")
	case !begins && now.session == last.session && now.frame <= last.frame:
		wrong("a frame again")
	case !key && (begins || now.session != last.session || now.frame != last.frame+1):
		wrong("no keyframe")
	}
	v.seen = now
	if _, known := v.first[now.session]; !known {
		v.first[now.session] = now.at
	}
	v.noteLocked(now.at, last.at)
}

func (v *viewer) noteLocked(now, last time.Time) {
	if last.Before(v.from) {
		last = v.from
	}
	v.gap = max(v.gap, now.Sub(last))
}

// reset begins a measurement.
func (v *viewer) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gap, v.cuts, v.from = 0, 0, time.Now()
}

// result is what a measurement has found.
type result struct {
	gap    time.Duration
	cuts   int
	why    string
	faults []string
	newest seen
}

func (v *viewer) result() result {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noteLocked(time.Now(), v.seen.at) // it may still go on
	return result{v.gap, v.cuts, v.why, v.faults, v.seen}
}

func (v *viewer) newest() seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen
}

func (v *viewer) firstOf(session uint32) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.first[session]
}

// open plays an rtmp://, http:// or ws:// address.
func open(ctx context.Context, url string) (next, func(), error) {
	if strings.HasPrefix(url, "rtmp") {
		c, err := rtmp.DialPlay(ctx, url, rtmp.ClientConfig{})
		if err != nil {
			return nil, nil, err
		}
		cut := context.AfterFunc(ctx, func() { _ = c.Close() })
		return c.Read, func() { cut(); _ = c.Close() }, nil
	}
	body, err := openHTTP(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	r := flv.NewReader(body, 1<<20)
	if _, _, err := r.ReadHeader(); err != nil {
		_ = body.Close()
		return nil, nil, err
	}
	return func() (flv.Kind, uint32, []byte, error) {
		g, err := r.ReadTag()
		return g.Kind, g.Timestamp, g.Payload, err
	}, func() { _ = body.Close() }, nil
}

// players is for HTTP-FLV: a connection each, and no end.
var players = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 15 * time.Second}}

func openHTTP(ctx context.Context, url string) (io.ReadCloser, error) {
	if strings.HasPrefix(url, "ws") {
		dial, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		conn, _, err := websocket.Dial(dial, url, nil)
		if err != nil {
			return nil, err
		}
		conn.SetReadLimit(1 << 20)
		return websocket.NetConn(ctx, conn, websocket.MessageBinary), nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	reply, err := players.Do(request)
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK {
		_ = reply.Body.Close()
		return nil, errors.New(reply.Status)
	}
	return reply.Body, nil
}
