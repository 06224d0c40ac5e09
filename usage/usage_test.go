package usage

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/auth"
	"liverelay/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef0123456789abcdef"

// source gives what a test puts in, once.
type source struct {
	mu   sync.Mutex
	used []relay.Usage
}

func (s *source) put(u ...relay.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = append(s.used, u...)
}

func (s *source) Usage() []relay.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.used
	s.used = nil
	return used
}

func play(app, stream, user string, bytes uint64) relay.Usage {
	return relay.Usage{Name: relay.Name{App: app, Stream: stream}, User: user, Action: "play", Bytes: bytes, Seconds: 1}
}

// backend takes reports, and fails as often as it is told.
type backend struct {
	t    *testing.T
	mu   sync.Mutex
	fail int
	got  []Report
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // a client that goes
	}
	if err := auth.VerifyBody(secret, r.Header, body, time.Now()); err != nil {
		b.t.Errorf("signature: %v", err)
	}
	if b.fail > 0 {
		b.fail--
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	var report Report
	if err := json.Unmarshal(body, &report); err != nil {
		b.t.Error(err)
	}
	b.got = append(b.got, report)
}

func (b *backend) reports() []Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

func start(t *testing.T, b *backend, s *source) (*Meter, func()) {
	t.Helper()
	server := httptest.NewServer(b)
	m := New(Config{
		Source: s, Node: "n1", Interval: time.Hour, Retry: []time.Duration{time.Millisecond},
		URL: func(app string) (string, string) {
			if app == "quiet" {
				return "", ""
			}
			return server.URL, secret
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { m.Run(ctx) })
	stop := sync.OnceFunc(func() {
		cancel()
		wait.Wait()
		server.Close()
	})
	t.Cleanup(stop)
	return m, stop
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestReportsComeInOrderAndOnce: also when the backend fails, and of each app by itself.
func TestReportsComeInOrderAndOnce(t *testing.T) {
	b, s := &backend{t: t, fail: 5}, &source{}
	m, stop := start(t, b, s)
	total := uint64(0)
	for i := range uint64(20) {
		s.put(play("live", "s", "u", i), play("live", "s", "v", 100), play("other", "s", "u", 1), play("quiet", "s", "u", 7))
		total += i + 101
		m.Read()
	}
	m.Read() // nothing was used: nothing is reported
	await(t, "all reports", func() bool { return len(b.reports()) >= 40 })
	next := map[string]uint64{"live": 1, "other": 1}
	sum := uint64(0)
	var to time.Time
	for _, r := range b.reports() {
		if r.Sequence < next[r.App] { // once more: its answer was late
			continue
		}
		if r.Event != "usage" || r.Node != "n1" || r.Run == "" || r.Sequence != next[r.App] {
			t.Errorf("%+v, want sequence %d", r, next[r.App])
		}
		next[r.App]++
		if r.App == "live" && !to.IsZero() && !r.From.Equal(to) {
			t.Errorf("from %v, the last ended %v", r.From, to)
		}
		if r.App == "live" {
			to = r.To
		}
		for _, u := range r.Usage {
			sum += u.Bytes
		}
	}
	if sum != total {
		t.Errorf("%d bytes were reported, %d used", sum, total)
	}
	if records := m.Records(); len(records) != 80 || records[0].Bytes != 0 || records[0].Stream != "s" {
		t.Errorf("%d records", len(records))
	}
	s.put(play("live", "s", "last", 1))
	stop()
	if all := b.reports(); all[len(all)-1].Usage[0].User != "last" {
		t.Error("what was used until the end is not reported")
	}
}

// TestReportsThatWaitAreBounded: the oldest go, and are counted.
func TestReportsThatWaitAreBounded(t *testing.T) {
	s := &source{}
	m := New(Config{Source: s, URL: func(string) (string, string) { return "http://127.0.0.1:1/", secret }})
	for range keptReports + 10 {
		s.put(play("live", "s", "u", 1))
		m.Read()
	}
	if len(m.waiting) != keptReports || m.lost.Load() != 10 {
		t.Errorf("%d wait, %d are lost", len(m.waiting), m.lost.Load())
	}
	for range keptRecords / 100 {
		var many []relay.Usage
		for range 200 {
			many = append(many, play("live", "s", "u", 1))
		}
		s.put(many...)
		m.Read()
	}
	if len(m.Records()) != keptRecords {
		t.Errorf("%d records are kept", len(m.Records()))
	}
}
