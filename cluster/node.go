package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/relay"
)

const (
	beat        = 2 * time.Second        // the directory hears of the node so often
	leaseTTL    = 10 * time.Second       // and keeps that for so long
	askTimeout  = 500 * time.Millisecond // for the directory to answer
	byeTimeout  = 3 * time.Second        // for it to take what a node says at last
	lookEvery   = 500 * time.Millisecond // at publishers that are lost, or back
	dialTimeout = 2 * time.Second
	headTimeout = 5 * time.Second // for the head of a node's answer
	maxEdges    = 16              // of one origin; further ones pull from these
	maxAnswer   = 32 << 20        // bytes of a node's answer to a question
)

// Config is everything a [Node] needs.
type Config struct {
	Info      Info          // ID, Zone and Version; the rest is the node's own affair
	Secrets   []string      // the first signs, all verify
	Linger    time.Duration // a copy is kept for so long after its last player
	Directory Directory
	Log       *slog.Logger
	Now       func() time.Time // the wall clock, of which epochs and signatures are made [time.Now]

	// ServeCopy plays a stream of this node to another one, on its own clock.
	ServeCopy func(w http.ResponseWriter, r *http.Request, n relay.Name)
	// Answer answers another node's question; nil: none can be asked.
	Answer func(ctx context.Context, question []byte) ([]byte, error)
}

// Node is this node among the others. It is a [relay.Source].
type Node struct {
	// static
	cfg    Config
	log    *slog.Logger
	signer *signer
	table  *table
	client *http.Client
	relay  *relay.Relay // since Start

	ctx      context.Context
	cancel   context.CancelFunc
	spawning sync.Mutex // innermost: none is begun once Close waits
	running  sync.WaitGroup

	counters

	claiming sync.RWMutex // held while claims are renewed, and shared while one is released; before mu

	mu       sync.Mutex
	edges    map[relay.Name]*edge
	claims   map[relay.Name]*claim // of the publishers here
	refusals map[string]uint64     // by reason
}

// counters are what the node counts, and states that others see.
type counters struct {
	draining  atomic.Bool
	pullsOK   atomic.Uint64
	pullsFail atomic.Uint64
	moved     atomic.Uint64 // publishers given up to another node
	away      atomic.Bool   // the directory is
	streams   atomic.Int64  // published here, and players, a moment ago
	players   atomic.Int64
}

var _ relay.Source = (*Node)(nil)

// New returns a node that nobody knows yet.
func New(cfg Config) *Node {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Info.Boot, cfg.Info.State = boot(), Ready
	dialer := &net.Dialer{Timeout: dialTimeout}
	n := &Node{
		cfg: cfg, log: cfg.Log, signer: newSigner(cfg.Secrets), table: newTable(cfg.Info.ID),
		client: &http.Client{
			Transport: &http.Transport{
				DialContext: dialer.DialContext, ResponseHeaderTimeout: headTimeout, DisableCompression: true, DisableKeepAlives: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		edges: map[relay.Name]*edge{}, claims: map[relay.Name]*claim{}, refusals: map[string]uint64{},
	}
	n.signer.now = cfg.Now
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Start makes the node known by the addresses of its node listener and its HTTP door, and has it
// serve the relay, whose source it is. Before it, nothing may be served.
func (n *Node) Start(r *relay.Relay, address, http, rtmp string) {
	n.relay, n.cfg.Info.Address, n.cfg.Info.HTTP, n.cfg.Info.RTMP = r, address, http, rtmp
	n.spawn(n.register)
	n.spawn(n.look)
}

// spawn runs f, unless the node is closed.
func (n *Node) spawn(f func()) {
	n.spawning.Lock()
	defer n.spawning.Unlock()
	if n.ctx.Err() == nil {
		n.running.Go(f)
	}
}

// Close says goodbye, ends all copies and returns when nothing of the node runs any more, or when
// ctx ends.
func (n *Node) Close(ctx context.Context) error {
	n.spawning.Lock()
	n.cancel()
	n.spawning.Unlock()
	over := make(chan struct{})
	go func() {
		n.running.Wait()
		close(over)
	}()
	var err error
	select {
	case <-over: // nothing renews any more what is released now
	case <-ctx.Done():
		err = ctx.Err()
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), byeTimeout)
	defer cancel()
	for _, c := range n.held() {
		_ = n.cfg.Directory.Release(leave, c) // else it runs out
	}
	if gone := n.cfg.Directory.Leave(leave, n.cfg.Info); gone != nil {
		n.log.Warn("node is in the cluster's directory until its record runs out", "error", gone)
	}
	return err
}

// SetDraining says whether the node takes new work.
func (n *Node) SetDraining(yes bool) { n.draining.Store(yes) }

// Info is what the node says of itself.
func (n *Node) Info() Info {
	info := n.cfg.Info
	if n.draining.Load() {
		info.State = Draining
	}
	info.Streams, info.Players = int(n.streams.Load()), int(n.players.Load())
	return info
}

// Peers are the other nodes.
func (n *Node) Peers() []Peer { return n.table.nodes() }

// Where says which node has the publisher of a stream and which have copies; "": none.
func (n *Node) Where(name relay.Name) (origin string, carriers []string) {
	own, here := n.table.has(name)
	there, elsewhere := n.table.origin(name)
	switch {
	case here && own.Origin && (!elsewhere || own.Epoch >= there.Epoch):
		origin = n.cfg.Info.ID
	case elsewhere:
		origin = there.node.ID
	}
	return origin, n.table.carriers(name)
}

// Stats are the node's counters.
type Stats struct {
	Peers   int               // that are reached
	Missing int               // that are not
	Copies  int               // of streams of other nodes
	Pulls   map[string]uint64 // by result
	Moved   uint64            // publishers given up because they are at another node
	Refused map[string]uint64 // requests of other nodes, by reason
	Away    bool              // the directory is
}

// Stats returns the counters.
func (n *Node) Stats() Stats {
	s := Stats{
		Pulls: map[string]uint64{"ok": n.pullsOK.Load(), "failed": n.pullsFail.Load()},
		Moved: n.moved.Load(), Refused: map[string]uint64{}, Away: n.away.Load(),
	}
	for _, p := range n.table.nodes() {
		if p.Alive {
			s.Peers++
		} else {
			s.Missing++
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Copies = len(n.edges)
	for reason, count := range n.refusals {
		s.Refused[reason] = count
	}
	return s
}

// register keeps the node in the directory, learns from it who else is there, and renews what is
// published here.
func (n *Node) register() {
	said := ""
	for n.ctx.Err() == nil {
		ctx, cancel := n.ask()
		all, err := n.cfg.Directory.Register(ctx, n.Info(), leaseTTL)
		cancel()
		switch {
		case n.ctx.Err() != nil:
			return
		case errors.Is(err, ErrSameID):
			n.refused(reasonSameID, n.cfg.Info.ID, err)
		default:
			n.away.Store(err != nil)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != said {
			if err != nil {
				n.log.Warn("not in the cluster's directory: nodes go on with what they know of each other", "error", err)
			} else {
				n.log.Info("in the cluster's directory again")
			}
			said = text
		}
		for _, info := range all {
			n.learn(info, true)
		}
		if err == nil {
			n.renew()
		}
		sleep(n.ctx, jitter(beat))
	}
}

// ask is for what the directory is told. Close waits for the answer instead of giving up on it:
// what is given up may be done all the same, after the goodbye.
func (n *Node) ask() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(n.ctx), askTimeout)
}

// Why a request of another node was refused, as the metric has it.
const (
	reasonSignature = "signature"
	reasonStamp     = "stamp"
	reasonReplay    = "replay"
	reasonTo        = "address"
	reasonSameID    = "same_id"
	reasonEpoch     = "epoch"
	reasonLoop      = "loop"
	reasonNone      = "no_stream"
)

var errEpoch = errors.New("an epoch from the future")

// refused counts a refusal, and logs the first of its kind and then each hundredth.
func (n *Node) refused(reason, who string, err error) {
	n.mu.Lock()
	n.refusals[reason]++
	count := n.refusals[reason]
	n.mu.Unlock()
	if count%100 == 1 {
		n.log.Warn("node refused", "node", who, "reason", reason, "count", count, "error", err)
	}
}

// Handler serves the other nodes: the node listener's only handler.
func (n *Node) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, serve := range map[string]func(http.ResponseWriter, *http.Request, Info){
		"GET /node/link":  n.serveLink,
		"GET /node/pull":  n.servePull,
		"GET /node/ask":   n.serveAsk,
		"GET /node/carry": n.serveCarry,
		"GET /node/ping":  func(w http.ResponseWriter, _ *http.Request, _ Info) { fmt.Fprintln(w, n.cfg.Info.ID) },
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			from, nonce, err := n.signer.verify(r, n.cfg.Info.Address)
			if err == nil && n.table.impostor(from, n.cfg.Info) {
				n.refused(reasonSameID, r.RemoteAddr, ErrSameID)
				http.Error(w, ErrSameID.Error(), http.StatusConflict)
				return
			}
			if err != nil {
				n.refused(reasonOf(err), r.RemoteAddr, err)
				http.Error(w, "not a node of this cluster", http.StatusForbidden)
				return
			}
			n.signer.prove(w.Header(), nonce)
			serve(w, r, from)
		})
	}
	return mux
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, errStamp):
		return reasonStamp
	case errors.Is(err, errReplayed):
		return reasonReplay
	case errors.Is(err, errTo):
		return reasonTo
	}
	return reasonSignature
}

// statusError is an answer other than 200.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.text) }

// get asks a node, and returns what it answers, which the caller closes.
func (n *Node) get(ctx context.Context, address, path string) (io.ReadCloser, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := n.signer.sign(r, n.cfg.Info, address)
	if err != nil {
		return nil, nil, err
	}
	reply, err := n.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(reply.Body, 200))
		reply.Body.Close()
		return nil, nil, &statusError{reply.StatusCode, string(text)}
	}
	if !n.signer.proves(reply.Header, nonce) {
		reply.Body.Close()
		return nil, nil, errors.New("it does not know the cluster's secret")
	}
	return reply.Body, reply.Header, nil
}

// Reach asks a node at an address who it is: for checks of a configuration.
func (n *Node) Reach(ctx context.Context, address string) (id string, err error) {
	body, _, err := n.get(ctx, address, "/node/ping")
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 300))
	return string(text), err
}

// Elsewhere returns a node that takes new work; false: there is none.
func (n *Node) Elsewhere() (Info, bool) {
	peers := slices.DeleteFunc(n.table.nodes(), func(p Peer) bool { return !p.Alive || p.State != Ready })
	if len(peers) == 0 {
		return Info{}, false
	}
	return peers[rand.IntN(len(peers))].Info, true
}
