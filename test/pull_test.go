package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"liverelay/relay/flv"
	"liverelay/relay/rtmp"
)

// tag is one FLV tag as a player got it.
type tag struct {
	kind    flv.Kind
	ts      uint32
	payload []byte
	at      time.Time
}

func (g tag) String() string {
	return fmt.Sprintf("%d at %d, %d bytes %.12x", g.kind, g.ts, len(g.payload), g.payload)
}

func (g tag) header() flv.Header { return flv.ParseHeader(g.kind, g.payload) }

// puller is a player that writes down what it gets.
type puller struct {
	t      *testing.T
	url    string
	cancel context.CancelFunc
	begun  time.Time
	done   chan struct{}

	mu    sync.Mutex
	tags  []tag
	audio bool
	video bool
	err   error
}

// pull plays an rtmp://, http:// or ws:// URL until it ends or the test does.
func pull(t *testing.T, url string) *puller {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &puller{t: t, url: url, cancel: cancel, begun: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		err := p.run(ctx)
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	}()
	t.Cleanup(p.stop)
	return p
}

func (p *puller) stop() {
	p.cancel()
	<-p.done
}

func (p *puller) run(ctx context.Context) error {
	if strings.HasPrefix(p.url, "rtmp") {
		return p.runRTMP(ctx)
	}
	body, err := open(ctx, p.url)
	if err != nil {
		return err
	}
	defer body.Close()
	r := flv.NewReader(body, 16<<20)
	audio, video, err := r.ReadHeader()
	if err != nil {
		return fmt.Errorf("FLV header: %w", err)
	}
	p.mu.Lock()
	p.audio, p.video = audio, video
	p.mu.Unlock()
	for {
		g, err := r.ReadTag()
		if err != nil {
			return err
		}
		p.add(g.Kind, g.Timestamp, g.Payload)
	}
}

func (p *puller) add(kind flv.Kind, ts uint32, payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags = append(p.tags, tag{kind, ts, bytes.Clone(payload), time.Now()})
}

func (p *puller) runRTMP(ctx context.Context) error {
	c, err := rtmp.DialPlay(ctx, p.url, rtmp.ClientConfig{})
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for {
		kind, ts, payload, err := c.Read()
		if err != nil {
			return err
		}
		if bytes.Contains(payload, []byte("|RtmpSampleAccess")) {
			continue // the door's own
		}
		p.add(kind, ts, payload)
	}
}

// pushTags publishes tags by RTMP as fast as they go, and ends in good order.
func pushTags(t *testing.T, url string, tags []tag) {
	t.Helper()
	c, err := rtmp.DialPublish(context.Background(), url, rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range tags {
		if err := c.Write(g.kind, g.ts, g.payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func open(ctx context.Context, url string) (io.ReadCloser, error) {
	if strings.HasPrefix(url, "ws") {
		conn, reply, err := websocket.Dial(ctx, url, nil)
		if err != nil {
			if reply != nil {
				return nil, fmt.Errorf("status %d", reply.StatusCode)
			}
			return nil, err
		}
		conn.SetReadLimit(16 << 20)
		return websocket.NetConn(ctx, conn, websocket.MessageBinary), nil
	}
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != 200 {
		reply.Body.Close()
		return nil, fmt.Errorf("status %d", reply.StatusCode)
	}
	return reply.Body, nil
}

func (p *puller) got() []tag {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tags[:len(p.tags):len(p.tags)]
}

func (p *puller) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// awaitTags waits until n tags are there.
func (p *puller) awaitTags(n int) []tag {
	p.t.Helper()
	awaitFor(p.t, 30*time.Second, fmt.Sprintf("%d tags of %s", n, p.url), func() bool {
		if p.ended() && len(p.got()) < n {
			p.t.Fatalf("%s ended after %d tags: %v", p.url, len(p.got()), p.err)
		}
		return len(p.got()) >= n
	})
	return p.got()
}

// frames returns the audio and video frames without their headers.
func frames(tags []tag) []tag {
	var all []tag
	for _, g := range tags {
		if g.kind != flv.Script && !g.header().SequenceHeader {
			all = append(all, g)
		}
	}
	return all
}

// monotonic fails the test if the clock of a track goes back, jumps by more than most, or
// video begins or resumes without a keyframe.
func monotonic(t *testing.T, name string, tags []tag, most int64) {
	t.Helper()
	last := map[flv.Kind]int64{}
	first := true
	for i, g := range frames(tags) {
		if g.kind == flv.Video && first {
			if !g.header().Keyframe {
				t.Errorf("%s: video begins without a keyframe: %v", name, g)
			}
			first = false
		}
		before, seen := last[g.kind]
		if now := int64(g.ts); seen && (now < before || now-before > most) {
			t.Errorf("%s: frame %d of kind %d goes from %d to %d", name, i, g.kind, before, now)
		}
		last[g.kind] = int64(g.ts)
	}
}

// readFLV returns a file's tags.
func readFLV(t *testing.T, path string) []tag {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := flv.NewReader(bytes.NewReader(data), 16<<20)
	if _, _, err := r.ReadHeader(); err != nil {
		t.Fatal(err)
	}
	var tags []tag
	for {
		g, err := r.ReadTag()
		if err == io.EOF {
			return tags
		}
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag{kind: g.Kind, ts: g.Timestamp, payload: bytes.Clone(g.Payload)})
	}
}

// same compares kinds, timestamps and payloads.
func same(t *testing.T, name string, got, want []tag) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.kind != w.kind || g.ts != w.ts || !bytes.Equal(g.payload, w.payload) {
			t.Fatalf("%s: tag %d is %v, want %v", name, i, g, w)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d tags, want %d", name, len(got), len(want))
	}
}
