package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// Protocol is what other nodes play by, and copies are published by: the label in metrics and in
// relay.Endpoint.
const Protocol = "node"

// The headers of a pulled stream.
const (
	headerEpoch  = "Liverelay-Epoch"
	headerClock  = "Liverelay-Clock"  // a DTS of the stream, near the first that follows: 64 bits of what tags have 32
	headerShift  = "Liverelay-Shift"  // how far that is ahead of the origin's, ms, where a copy is pulled
	headerDirect = "Liverelay-Direct" // "1": the node that answers is the origin
)

const (
	quietAfter = 3 * time.Second // without media, and without a word on its link, an origin is not there
	lookAgain  = time.Second     // for an origin while there is none
	yieldTime  = 2 * time.Second // for a publisher to begin
)

// edge is a stream that players of this node want, and that is published elsewhere: from the first
// player until Config.Linger after the last there is at most one pull of it.
type edge struct {
	// static
	node   *Node
	name   relay.Name
	ctx    context.Context
	cancel context.CancelFunc
	over   chan struct{}

	linger *time.Timer // guarded by node.mu

	// of run
	epoch uint64      // the highest that was shown: none before it is again
	shown relay.Grant // of the copy that waits for its origin
	lost  bool        // there is one
	from  Info        // the node it came from

	mu     sync.Mutex
	pulled context.CancelFunc // guarded by mu: ends the pull
	quiet  time.Time          // guarded by mu: no pull before
	idle   chan struct{}      // guarded by mu: closed while nothing is pulled
}

// Wanted implements [relay.Source].
func (n *Node) Wanted(name relay.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.edges[name]; e != nil {
		if e.linger != nil {
			e.linger.Stop()
			e.linger = nil
		}
		return
	}
	if n.ctx.Err() != nil {
		return
	}
	e := &edge{node: n, name: name, over: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancel(n.ctx)
	n.edges[name] = e
	n.spawn(e.run)
}

// Unwanted implements [relay.Source].
func (n *Node) Unwanted(name relay.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.edges[name]
	if e == nil || e.linger != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(n.cfg.Linger, func() {
		n.mu.Lock()
		mine := e.linger == timer && n.edges[name] == e
		if mine {
			delete(n.edges, name)
		}
		n.mu.Unlock()
		if mine {
			e.cancel()
		}
	})
	e.linger = timer
}

// yield lets go of a stream for a publisher that is about to begin here.
func (n *Node) yield(name relay.Name) {
	n.mu.Lock()
	e := n.edges[name]
	n.mu.Unlock()
	if e == nil {
		return
	}
	e.mu.Lock()
	e.quiet = time.Now().Add(yieldTime)
	pulled, idle := e.pulled, e.idle
	e.mu.Unlock()
	if pulled == nil {
		return
	}
	pulled()
	select {
	case <-idle:
	case <-time.After(yieldTime):
	}
}

// run keeps the stream coming, from wherever it is.
func (e *edge) run() {
	defer close(e.over)
	defer e.cancel()
	pause := retryLeast
	for e.ctx.Err() == nil {
		changed, back := e.node.table.watch(e.name)
		from, ok := e.choose()
		if !ok {
			e.finish()
			e.wait(changed, jitter(lookAgain))
			back()
			continue
		}
		back()
		began := time.Now()
		err := e.pull(from)
		if e.ctx.Err() != nil {
			return
		}
		if time.Since(began) > quietAfter {
			pause = retryLeast
		}
		e.node.log.Debug("copy ended", "stream", e.name.String(), "node", from.node.ID, "error", err)
		e.tryAgain(from, pause)
		pause = min(2*pause, retryMost)
	}
}

// tryAgain waits until what is known changes, or for the pause.
func (e *edge) tryAgain(from place, pause time.Duration) {
	changed, back := e.node.table.watch(e.name)
	defer back()
	if again, ok := e.choose(); !ok || again.Epoch > from.Epoch {
		return
	}
	e.wait(changed, jitter(pause))
}

func (e *edge) wait(changed <-chan struct{}, d time.Duration) {
	select {
	case <-changed:
	case <-time.After(d):
	case <-e.ctx.Done():
	}
}

// choose returns whom to pull from.
func (e *edge) choose() (place, bool) {
	e.mu.Lock()
	yielded := time.Now().Before(e.quiet)
	e.mu.Unlock()
	from, ok := e.node.table.nearest(e.name, e.node.cfg.Info.Zone, maxEdges)
	if !ok && !yielded {
		from, ok = e.lookUp()
	}
	if !ok || yielded || from.Epoch < e.epoch {
		return place{}, false
	}
	return from, true
}

// lookUp asks the directory for a stream of a node whose link is not up, or not yet.
func (e *edge) lookUp() (place, bool) {
	n := e.node
	if own, ok := n.table.has(e.name); ok && own.Origin {
		return place{}, false
	}
	missing := map[string]Info{}
	for _, p := range n.table.nodes() {
		if !p.Alive {
			missing[p.ID] = p.Info
		}
	}
	if len(missing) == 0 { // those that are reached have said all
		return place{}, false
	}
	ctx, cancel := context.WithTimeout(e.ctx, askTimeout)
	defer cancel()
	c, ok, err := n.cfg.Directory.Lookup(ctx, e.name)
	info, known := missing[c.Node]
	if err != nil || !ok || !known {
		return place{}, false
	}
	return place{fact: fact{Name: e.name, Epoch: c.Epoch, Origin: true, User: c.User, Room: c.Room}, node: info}, true
}

// finish ends the stream for its players here, when its origin has said that it is over.
func (e *edge) finish() {
	n := e.node
	if !e.lost || e.ctx.Err() != nil {
		return
	}
	if _, there := n.table.origin(e.name); there || n.table.moved(e.name, e.epoch) {
		return // at a node that is not reached, or not yet
	}
	if own, ok := n.table.has(e.name); ok && own.Origin {
		e.lost = false
		return
	}
	// Another run of that node knows nothing of it: it has crashed, and its publisher is on its
	// way.
	if !n.table.reaches(e.from) {
		return // nobody knows: it is waited for
	}
	e.lost = false
	n.log.Debug("stream has ended at its origin", "stream", e.name.String(), "node", e.from.ID)
	if _, ok := n.relay.Stream(e.name); !ok {
		return
	}
	p, err := n.relay.Publish(e.name, relay.PublishOptions{Grant: e.shown, Protocol: Protocol, Copy: &relay.Copy{Epoch: e.epoch}})
	if err == nil {
		p.Close(true)
		e.epoch = 0
	}
}

var (
	errEarlier = errors.New("an earlier epoch than was shown")
	errMoved   = errors.New("the stream has another origin")
	errQuiet   = errors.New("neither media nor a word")
)

// pull publishes the stream here as it comes from a node, until it ends.
func (e *edge) pull(from place) error {
	n := e.node
	ctx, cancel := context.WithCancelCause(e.ctx)
	defer cancel(nil)
	idle := make(chan struct{})
	defer close(idle)
	e.mu.Lock()
	e.pulled, e.idle = func() { cancel(errMoved) }, idle
	e.mu.Unlock()
	var shown atomic.Uint64 // the epoch
	shown.Store(from.Epoch)
	heard := &silence{since: time.Now()}
	// From the start: a node that hangs does not even answer.
	n.spawn(func() { e.watch(ctx, cancel, from.node, &shown, heard) })
	q := url.Values{"app": {e.name.App}, "stream": {e.name.Stream}, "epoch": {strconv.FormatUint(from.Epoch, 10)}}
	body, header, err := n.get(ctx, from.node.Address, "/node/pull?"+q.Encode())
	if err != nil {
		n.pullsFail.Add(1)
		return cause(ctx, err)
	}
	defer body.Close()
	epoch, err := strconv.ParseUint(header.Get(headerEpoch), 10, 64)
	shift, _ := strconv.ParseInt(header.Get(headerShift), 10, 64) // none from an older version
	clock, err2 := strconv.ParseInt(header.Get(headerClock), 10, 64)
	switch {
	case err != nil || err2 != nil || epoch > uint64(n.cfg.Now().UnixMilli())+maxAhead:
		n.refused(reasonEpoch, from.node.ID, errEpoch)
		return errEpoch
	case epoch < e.epoch || epoch < from.Epoch:
		return errEarlier
	}
	n.pullsOK.Add(1)
	remote, _ := netip.ParseAddrPort(from.node.Address) // a name has none
	o := relay.PublishOptions{
		Grant: relay.Grant{User: from.User, Room: from.Room, Rank: from.Rank}, Protocol: Protocol, Remote: remote,
		Copy: &relay.Copy{Epoch: epoch}, OnEnd: func(err error) { cancel(err) },
	}
	tags := flv.NewReader(body, flv.MaxPayload)
	if _, _, err := tags.ReadHeader(); err != nil {
		return cause(ctx, err)
	}
	p, err := n.relay.Publish(e.name, o)
	if err != nil {
		return err
	}
	e.epoch, e.shown, e.lost, e.from = epoch, o.Grant, true, from.node
	direct := header.Get(headerDirect) == "1"
	n.table.set(e.name, func(f fact, had bool) fact {
		if had && f.Origin {
			return f
		}
		return fact{Epoch: epoch, Direct: direct, User: from.User, Room: from.Room, Rank: from.Rank, Spare: f.Spare}
	})
	defer e.letGo(p)
	shown.Store(epoch)
	heard.end()
	return cause(ctx, copyTags(p, tags, clock, shift, heard))
}

// letGo ends the copy p.
func (e *edge) letGo(p *relay.Publisher) {
	e.node.table.set(e.name, func(f fact, had bool) fact {
		if had && f.Origin {
			return f
		}
		return f.ended()
	})
	p.Close(false)
}

// silence is how long nothing has come. It does not ask the wall clock, which may jump.
type silence struct {
	since time.Time    // static
	last  atomic.Int64 // since then, ns
}

func (s *silence) end() { s.last.Store(int64(time.Since(s.since))) }

func (s *silence) lasts() time.Duration { return time.Since(s.since) - time.Duration(s.last.Load()) }

// copyTags gives a publisher what comes, until it fails. The stream's own clock goes on from clock:
// a tag has its lower 32 bits, and is shift ahead of the origin's. Each one ends the silence.
func copyTags(p *relay.Publisher, tags *flv.Reader, clock, shift int64, heard *silence) error {
	for {
		tag, buffer, err := p.ReadTag(tags)
		if err != nil {
			return err
		}
		heard.end()
		dts := clock + int64(int32(tag.Timestamp-uint32(clock)))
		if tag.Kind != flv.Script {
			clock = dts
		}
		if err := p.WriteCopyBuffer(tag.Kind, dts-shift, buffer); err != nil {
			return err
		}
	}
}

// watch ends a pull whose stream has another origin, or whose node is not there any more.
func (e *edge) watch(ctx context.Context, cancel context.CancelCauseFunc, from Info, epoch *atomic.Uint64, heard *silence) {
	t := e.node.table
	for ctx.Err() == nil {
		changed, back := t.watch(e.name)
		origin, ok := t.origin(e.name)
		alive := t.reaches(from)
		switch {
		case ok && origin.Epoch > epoch.Load():
			cancel(errMoved)
		case !alive && heard.lasts() > quietAfter:
			cancel(errQuiet)
		default:
			select {
			case <-changed:
			case <-time.After(lookAgain / 2):
			case <-ctx.Done():
			}
		}
		back()
	}
}

// servePull plays a stream of this node to another one. Only an origin, and a copy of the origin's
// own, is pulled: so no stream comes back to where it has been.
func (n *Node) servePull(w http.ResponseWriter, r *http.Request, from Info) {
	q := r.URL.Query()
	name := relay.Name{App: q.Get("app"), Stream: q.Get("stream")}
	if _, ok := n.relay.Stream(name); ok && strings.HasSuffix(name.Stream, relay.Carried) {
		n.cfg.ServeCopy(w, r, name)
		return
	}
	epoch, _ := strconv.ParseUint(q.Get("epoch"), 10, 64)
	own, ok := n.table.has(name)
	st, _ := n.relay.Stream(name)
	begins := !own.Origin && st.Live && !st.Copy // a publisher here, whose epoch nobody knows yet
	switch {
	case !ok || own.Epoch == 0 || own.Epoch < epoch || own.Moved || begins:
		n.refused(reasonNone, from.ID, fmt.Errorf("pull of %.80q: it is not here", name.String()))
		http.Error(w, "no such stream", http.StatusNotFound)
		return
	case !own.Origin && !own.Direct, from.ID == n.cfg.Info.ID:
		n.refused(reasonLoop, from.ID, fmt.Errorf("pull of %.80q: a copy of a copy", name.String()))
		http.Error(w, "a copy of a copy", http.StatusLoopDetected)
		return
	}
	w.Header().Set(headerEpoch, strconv.FormatUint(own.Epoch, 10))
	if own.Origin {
		w.Header().Set(headerDirect, "1")
	}
	n.cfg.ServeCopy(w, r, name)
}

// serveAsk answers another node's question.
func (n *Node) serveAsk(w http.ResponseWriter, r *http.Request, _ Info) {
	if n.cfg.Answer == nil {
		http.Error(w, "nothing to say", http.StatusNotFound)
		return
	}
	b, err := n.cfg.Answer(r.Context(), []byte(r.URL.Query().Get("q")))
	if err != nil {
		http.Error(w, strings.ToValidUTF8(err.Error(), "?"), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

// Ask asks all other nodes, at the same time, until ctx ends. It returns the answers by node, and
// who did not answer.
func (n *Node) Ask(ctx context.Context, question []byte) (answers map[string][]byte, missing []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	answers = map[string][]byte{}
	for _, p := range n.table.nodes() {
		all.Go(func() {
			b, err := n.askOne(ctx, p.Info, question)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing = append(missing, p.ID)
				return
			}
			answers[p.ID] = b
		})
	}
	all.Wait()
	slices.Sort(missing)
	return answers, missing
}

func (n *Node) askOne(ctx context.Context, to Info, question []byte) ([]byte, error) {
	body, _, err := n.get(ctx, to.Address, "/node/ask?q="+url.QueryEscape(string(question)))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	return bytes.TrimSpace(b), err
}
