package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"liverelay/relay"
)

const (
	linkBeat   = 500 * time.Millisecond // a link says something so often
	linkDead   = 3 * time.Second        // without a word: the node is not there
	linkWrite  = 2 * time.Second        // for a peer to take a message
	linkFacts  = 500                    // facts in one message
	maxMessage = 4 << 20                // bytes
	retryLeast = 100 * time.Millisecond // between two tries, and twice as long each time
	retryMost  = 2 * time.Second
	maxPeers   = 1024

	forgetAfter = 10 * time.Minute // a node that nobody has heard of
)

// message is one line of a link, JSON: what a node tells of itself.
type message struct {
	Begins   bool   `json:"begins,omitempty"`   // the first: what it has not told when Complete comes, it has no more
	Complete bool   `json:"complete,omitempty"` // it has told all
	Info     Info   `json:"info"`
	Nodes    []Info `json:"nodes,omitempty"` // the others that it knows
	Facts    []fact `json:"facts,omitempty"`
	Bye      bool   `json:"bye,omitempty"` // it goes
}

// serveLink tells another node what this one has, until either goes.
func (n *Node) serveLink(w http.ResponseWriter, r *http.Request, from Info) {
	n.learn(from, true)
	f := n.table.subscribe()
	defer n.table.unsubscribe(f)
	beat := time.NewTicker(linkBeat)
	defer beat.Stop()
	encoder, control := json.NewEncoder(w), http.NewResponseController(w)
	m := message{Begins: true}
	told := false
	for {
		var more bool
		m.Info = n.Info()
		m.Facts, more = n.table.unsaid(f, linkFacts)
		if !told && !more {
			m.Complete, told = true, true
		}
		if m.Begins || m.Complete || rand.IntN(8) == 0 { // now and then, so that all learn of all
			for _, p := range n.table.nodes() {
				m.Nodes = append(m.Nodes, p.Info)
			}
		}
		_ = control.SetWriteDeadline(time.Now().Add(linkWrite))
		if encoder.Encode(m) != nil || control.Flush() != nil {
			return
		}
		m = message{}
		if more {
			continue
		}
		select {
		case <-f.signal:
		case <-beat.C:
		case <-r.Context().Done():
			return
		case <-n.ctx.Done():
			_ = control.SetWriteDeadline(time.Now().Add(linkWrite))
			_ = encoder.Encode(message{Info: n.Info(), Bye: true})
			return
		}
	}
}

// learn notes that there is a node; firsthand: it says so itself, or the directory does.
func (n *Node) learn(info Info, firsthand bool) {
	if info.ID == n.cfg.Info.ID || info.ID == "" || info.Address == "" || n.ctx.Err() != nil {
		return
	}
	t := n.table
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[info.ID]
	switch {
	case p == nil && len(t.peers) >= maxPeers:
		return
	case p == nil:
		p = &peer{info: info, facts: map[relay.Name]fact{}, heard: time.Now()}
		t.peers[info.ID] = p
	case !firsthand && (p.alive || p.info.Boot == info.Boot):
		return
	case p.info.Address == info.Address:
		p.info = info
		return
	default: // it is somewhere else now
		p.stop()
		p.info, p.alive = info, false
	}
	ctx, stop := context.WithCancel(n.ctx)
	p.stop = stop
	n.spawn(func() { n.link(ctx, info.ID, info.Address) })
}

// link keeps a link to a node at an address until ctx ends.
func (n *Node) link(ctx context.Context, id, address string) {
	pause, said := retryLeast, ""
	for ctx.Err() == nil {
		began := time.Now()
		err := n.listen(ctx, id, address)
		if ctx.Err() != nil {
			return
		}
		n.table.down(id)
		if errors.Is(err, errBye) {
			n.log.Info("node has left", "node", id)
			n.table.forget(id)
			return
		}
		if time.Since(began) > linkDead {
			pause = retryLeast
		}
		if text := err.Error(); text != said {
			n.log.Warn("node is not reached", "node", id, "address", address, "error", err)
			said = text
		}
		if n.overdue(id) {
			n.log.Info("node is forgotten", "node", id)
			n.table.forget(id)
			return
		}
		sleep(ctx, jitter(pause))
		pause = min(2*pause, retryMost)
	}
}

// overdue says whether nothing was heard of a node for so long that it will not come back under
// this address.
func (n *Node) overdue(id string) bool {
	n.table.mu.Lock()
	defer n.table.mu.Unlock()
	p := n.table.peers[id]
	return p == nil || time.Since(p.heard) > forgetAfter
}

var (
	errBye    = errors.New("it said goodbye")
	errSilent = errors.New("it says nothing")
)

// listen hears what a node has until the link breaks.
func (n *Node) listen(ctx context.Context, id, address string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(linkDead, func() { cancel(errSilent) })
	defer silent.Stop()
	body, _, err := n.get(ctx, address, "/node/link")
	if err != nil {
		return cause(ctx, err)
	}
	defer body.Close()
	r := bufio.NewReader(io.LimitReader(body, 1<<62))
	first := true
	for {
		line, err := readLine(r, maxMessage)
		if err != nil {
			return cause(ctx, err)
		}
		silent.Reset(linkDead)
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			return fmt.Errorf("link: %w", err)
		}
		if m.Info.ID != id {
			return fmt.Errorf("link: node %.40q is there", m.Info.ID)
		}
		if m.Bye {
			return errBye
		}
		if first {
			n.log.Info("node is reached", "node", id, "address", address)
			first = false
		}
		n.learn(m.Info, true)
		for _, other := range m.Nodes {
			n.learn(other, false)
		}
		superseded, lies := n.table.hear(id, m.Begins, m.Complete, m.Facts, n.cfg.Now())
		if lies > 0 {
			n.refused(reasonEpoch, id, errEpoch)
		}
		for _, l := range superseded {
			n.supersede(l.own, l.epoch, l.rank)
		}
	}
}

// cause returns why ctx ended if that is why err came.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// readLine reads up to and with the next line break, at most n bytes.
func readLine(r *bufio.Reader, n int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > n {
			return nil, fmt.Errorf("line above %d bytes", n)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
