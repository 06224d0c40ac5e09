package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"liverelay/admin"
	"liverelay/relay"
	"liverelay/relay/socket"
	"liverelay/room/signal"
	"liverelay/support"
)

// What a bundle has at most of each: before it is packed, in bytes.
const (
	keptLog       = 512 << 10
	mostList      = 4 << 20
	mostText      = 1 << 20
	mostGoroutine = 2 << 20
	mostWire      = 6 << 20 // a byte takes three characters, and little when packed
)

// helper makes bundles, one at a time: each takes memory.
type helper struct {
	server *Server
	tail   *support.Tail
	trace  support.Trace
	since  time.Time
	busy   sync.Mutex
}

var _ admin.Support = (*helper)(nil)

// Bundle implements [admin.Support].
func (h *helper) Bundle(ctx context.Context, wish admin.BundleWish) ([]byte, error) {
	if !h.busy.TryLock() {
		return nil, admin.ErrBusy
	}
	defer h.busy.Unlock()
	s := h.server
	redactor := support.NewRedactor(s.secrets())
	var wire []byte
	if wish.Connection != "" { // first: who is named may go soon, and what it does is in what follows
		var err error
		if wire, err = h.wire(ctx, wish, redactor); err != nil {
			return nil, err
		}
	}
	b := support.NewBundle(fmt.Sprintf("liverelay %s, node %s, %s\nWithout credentials: what was one, or looked like one, is written xxxx.\n"+
		"docs/operations.md says how to read it. All of it is of this node alone; other nodes have bundles of their own.\n", s.version, s.Config().Node.ID, time.Now().UTC().Format(time.RFC3339)), redactor)
	b.AddText("version.txt", h.version(), mostText, false)
	b.AddText("config.txt", []byte(s.Config().Shown()), mostText, false)
	b.AddText("log.txt", h.tail.Bytes(), keptLog, true)
	if wire != nil {
		b.AddText("wire.txt", wire, mostWire, false)
	}
	metrics, err := s.admin.Metrics(ctx)
	addText(b, "metrics.txt", metrics, err)
	for _, list := range []string{"nodes", "streams", "players", "rooms", "audit", "usage", "events"} {
		text, err := h.list(ctx, list)
		addText(b, list+".json", text, err)
	}
	var goroutines, heap bytes.Buffer
	err = pprof.Lookup("goroutine").WriteTo(&goroutines, 1)
	if err != nil {
		b.Missing("goroutines.txt", err)
	}
	b.AddText("goroutines.txt", goroutines.Bytes(), mostGoroutine, false)
	if trace, err := h.trace.Bytes(ctx); err != nil {
		b.Missing("trace.out", err)
	} else {
		b.AddBinary("trace.out", trace)
	}
	if err := pprof.Lookup("heap").WriteTo(&heap, 0); err != nil {
		b.Missing("heap.pb.gz", err)
	} else {
		b.AddBinary("heap.pb.gz", heap.Bytes())
	}
	var file bytes.Buffer
	_, err = b.WriteTo(&file)
	return file.Bytes(), err
}

func addText(b *support.Bundle, name string, text []byte, err error) {
	if err != nil {
		b.Missing(name, err)
		return
	}
	b.AddText(name, text, mostList, false)
}

// list is what this node has of a resource, one item a line. The newest events, of which there are
// many, are those that it remembers.
func (h *helper) list(ctx context.Context, what string) ([]byte, error) {
	answer, err := h.server.admin.Answer(ctx, admin.Query{What: what})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	var items []json.RawMessage
	if json.Unmarshal(text, &items) != nil {
		return text, nil
	}
	var b bytes.Buffer
	for _, item := range items {
		b.Write(item)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// version says what runs, and where.
func (h *helper) version() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "liverelay %s\n%s %s/%s\n", h.server.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "processors %d, of which it uses %d\nmemory limit %d\n", runtime.NumCPU(), runtime.GOMAXPROCS(0), debug.SetMemoryLimit(-1))
	fmt.Fprintf(&b, "runs since %s, goroutines %d\n", h.since.UTC().Format(time.RFC3339), runtime.NumGoroutine())
	ready := h.server.ready()
	fmt.Fprintf(&b, "state %s %s\n", ready.State, ready.Reason)
	if build, ok := debug.ReadBuildInfo(); ok {
		fmt.Fprintf(&b, "\n%s", build)
	}
	return b.Bytes()
}

// wire is what a connection carries from now on, for as long as was wished, until it is enough or
// the asker goes.
func (h *helper) wire(ctx context.Context, wish admin.BundleWish, r *support.Redactor) ([]byte, error) {
	w := support.NewWire(wish.Bytes)
	stop, shown, err := h.listen(wish.Connection, w)
	switch {
	case errors.Is(err, relay.ErrNoConnection), errors.Is(err, signal.ErrNoMember):
		return nil, admin.ErrNoConnection
	case errors.Is(err, socket.ErrNoTap):
		return nil, admin.ErrNoWire
	case errors.Is(err, socket.ErrTapped), errors.Is(err, signal.ErrTapped):
		return nil, admin.ErrBusy
	case err != nil:
		return nil, err
	}
	defer stop()
	enough := time.NewTimer(time.Duration(wish.Seconds) * time.Second)
	defer enough.Stop()
	select {
	case <-enough.C:
	case <-w.Full():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return shown(r), nil
}

// listen begins to keep what a connection carries, and says how that is shown. Names of streams
// have no slash, so what has two is APP/ROOM/USER.
func (h *helper) listen(id string, w *support.Wire) (stop func(), shown func(*support.Redactor) []byte, err error) {
	if strings.Count(id, "/") >= 2 {
		stop, err = h.server.signal.Listen(id, w.Tap)
		return stop, func(r *support.Redactor) []byte { return w.Lines(r.Naming("session")) }, err // who has a session resumes it
	}
	stop, sealed, err := h.server.relay.Listen(id, w.Tap)
	return stop, func(r *support.Redactor) []byte { return w.Bytes(r, sealed) }, err
}

// keepTrace records the runtime, or does not, as the configuration says.
func (s *Server) keepTrace() {
	if err := s.helper.trace.Keep(s.Config().Admin.Trace); err != nil {
		s.log.Warn("the runtime is not recorded for bundles", "error", err)
	}
}

// secrets are all that this server knows.
func (s *Server) secrets() []string {
	all := s.Config().Secrets()
	s.reloader.mu.Lock()
	defer s.reloader.mu.Unlock()
	return append(all, s.reloader.source.Secrets()...)
}
