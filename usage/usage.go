// Package usage reports what was published and played, interval by interval: to the apps' backend
// (hooks.events), signed and in order, and to whoever asks. It knows relay and auth.
package usage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/auth"
	"liverelay/relay"
)

// Record is the usage of one user of one stream in one interval.
type Record struct {
	relay.Usage
	Node string    `json:"node"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Report is what an app's backend is posted: all records of an app in one interval. A backend may
// get a report twice, never out of order: run and sequence tell.
type Report struct {
	Event    string    `json:"event"` // "usage"
	Node     string    `json:"node"`
	Run      string    `json:"run"`      // of the node, another one after each start
	Sequence uint64    `json:"sequence"` // 1, 2, 3, … of the app in this run
	App      string    `json:"app"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Usage    []Record  `json:"usage"`
}

// Source is asked for what was used since it was asked last.
type Source interface{ Usage() []relay.Usage }

// Config of a [Meter]. Zero values take the defaults in brackets.
type Config struct {
	Source   Source
	Node     string
	Interval time.Duration                         // [1 min]
	URL      func(app string) (url, secret string) // of the app's backend; url empty: none. [none]
	Retry    []time.Duration                       // waits between tries; the last again and again [1, 2, 5, 10, 30, 60 s]
	Client   *http.Client                          // [one with a time-out of 5 s]
	Log      *slog.Logger
}

const (
	keptRecords = 20_000 // for the API
	keptReports = 1000   // that wait for a backend; the oldest is lost first
	postTimeout = 5 * time.Second
)

// Meter asks a source once an interval.
type Meter struct {
	cfg Config // static
	run string // static

	sent, lost, failed atomic.Uint64 // reports, reports, tries

	// guarded by mu
	mu       sync.Mutex
	records  []Record // oldest first
	since    time.Time
	sequence map[string]uint64 // of each app
	waiting  []waiting
	wake     chan struct{}
}

// waiting is a report on its way.
type waiting struct {
	url, secret string
	body        []byte
}

// New makes a meter; Run runs it.
func New(cfg Config) *Meter {
	if cfg.Interval <= 0 {
		cfg.Interval = time.Minute
	}
	if cfg.Retry == nil {
		cfg.Retry = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{
			Timeout:       postTimeout,
			Transport:     http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Meter{cfg: cfg, run: auth.NewID(), since: time.Now(), sequence: map[string]uint64{}, wake: make(chan struct{}, 1)}
}

// Run asks and reports until ctx ends. What was used until then is reported too, if the backend
// answers at once.
func (m *Meter) Run(ctx context.Context) {
	var sender sync.WaitGroup
	sender.Go(func() { m.deliver(ctx) })
	ticker := time.NewTicker(m.cfg.Interval)
	defer ticker.Stop()
	defer m.cfg.Client.CloseIdleConnections()
	for {
		select {
		case <-ticker.C:
			m.Read()
		case <-ctx.Done():
			sender.Wait()
			m.Read()
			m.finish()
			return
		}
	}
}

// Read closes the interval now.
func (m *Meter) Read() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now().UTC().Round(0)
	used := m.cfg.Source.Usage()
	from := m.since.UTC().Round(0)
	m.since = now
	byApp := map[string][]Record{}
	for _, u := range used {
		byApp[u.App] = append(byApp[u.App], Record{u, m.cfg.Node, from, now})
	}
	for _, app := range slices.Sorted(maps.Keys(byApp)) {
		records := byApp[app]
		slices.SortFunc(records, compare)
		m.keepLocked(records)
		m.reportLocked(app, records, from, now)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func compare(a, b Record) int {
	for _, pair := range [][2]string{{a.Stream, b.Stream}, {a.Action, b.Action}, {a.User, b.User}, {a.Room, b.Room}} {
		if pair[0] != pair[1] {
			if pair[0] < pair[1] {
				return -1
			}
			return 1
		}
	}
	return 0
}

func (m *Meter) keepLocked(records []Record) {
	m.records = append(m.records, records...)
	if over := len(m.records) - keptRecords; over > 0 {
		m.records = slices.Delete(m.records, 0, over)
	}
}

func (m *Meter) reportLocked(app string, records []Record, from, to time.Time) {
	if m.cfg.URL == nil {
		return
	}
	url, secret := m.cfg.URL(app)
	if url == "" {
		return
	}
	m.sequence[app]++
	body, err := json.Marshal(Report{"usage", m.cfg.Node, m.run, m.sequence[app], app, from, to, records})
	if err != nil {
		return // cannot be: strings and finite numbers
	}
	if len(m.waiting) >= keptReports {
		m.waiting = slices.Delete(m.waiting, 0, 1)
		m.lost.Add(1)
		m.cfg.Log.Error("usage report lost: the backend does not take them", "app", app)
	}
	m.waiting = append(m.waiting, waiting{url, secret, body})
}

// Records returns what is remembered of the latest intervals, oldest first.
func (m *Meter) Records() []Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records)
}

// deliver posts reports, each until it is taken, in order.
func (m *Meter) deliver(ctx context.Context) {
	for try := 0; ; {
		report, ok := m.first()
		if !ok {
			select {
			case <-m.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err := m.post(ctx, report); err != nil {
			if ctx.Err() != nil {
				return
			}
			m.failed.Add(1)
			if try == 0 {
				m.cfg.Log.Warn("usage report not taken: trying again", "error", err)
			}
			wait := m.cfg.Retry[min(try, len(m.cfg.Retry)-1)]
			try++
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			continue
		}
		try = 0
		m.done(report)
	}
}

// finish tries what is left once.
func (m *Meter) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), postTimeout)
	defer cancel()
	for {
		report, ok := m.first()
		if !ok {
			return
		}
		if err := m.post(ctx, report); err != nil {
			m.mu.Lock()
			m.lost.Add(uint64(len(m.waiting)))
			m.cfg.Log.Error("usage reports lost at the end", "number", len(m.waiting), "error", err)
			m.mu.Unlock()
			return
		}
		m.done(report)
	}
}

func (m *Meter) first() (waiting, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) == 0 {
		return waiting{}, false
	}
	return m.waiting[0], true
}

// done takes a report off the queue, unless it was lost meanwhile.
func (m *Meter) done(w waiting) {
	m.sent.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) > 0 && &m.waiting[0].body[0] == &w.body[0] {
		m.waiting = slices.Delete(m.waiting, 0, 1)
	}
}

func (m *Meter) post(ctx context.Context, w waiting) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(w.body))
	if err != nil {
		return errors.New("cannot make the request") // the address may hold a password
	}
	now := time.Now().Unix()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "liverelay")
	req.Header.Set(auth.HeaderTimestamp, strconv.FormatInt(now, 10))
	req.Header.Set(auth.HeaderSignature, auth.SignBody(w.secret, now, w.body))
	res, err := m.cfg.Client.Do(req)
	if err != nil {
		return auth.WithoutURL(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10)) // for the connection's next use
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("status %d, want 200", res.StatusCode)
	}
	return nil
}

// Measure reports what an operator's metrics say of the reports; see relay.Relay's.
func (m *Meter) Measure(add func(name, help string, value float64, labels ...string)) {
	m.mu.Lock()
	waiting := len(m.waiting)
	m.mu.Unlock()
	add("usage_reports_total", "Usage reports, by result.", float64(m.sent.Load()), "result", "sent")
	add("usage_reports_total", "Usage reports, by result.", float64(m.lost.Load()), "result", "lost")
	add("usage_report_failures_total", "Tries to report usage that failed.", float64(m.failed.Load()))
	add("usage_reports_waiting", "Usage reports that wait for the backend.", float64(waiting))
}
