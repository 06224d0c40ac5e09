package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"liverelay/relay"
)

// claim is a publisher of this node, as the directory has to know it.
type claim struct {
	Claim
	noted bool // the directory has it
}

// returnTime is how long a node says that a stream has moved, for those who have not heard of it
// from its new origin.
const returnTime = 30 * time.Second

func boot() string { return strings.ToLower(rand.Text()[:10]) }

// Published is told when media of a publisher here have really arrived.
func (n *Node) Published(e relay.StreamEvent) {
	if e.Grant.Carried {
		if !e.Resumed {
			n.spawn(func() { n.carry(e) })
		}
		return
	}
	began := false
	epoch := max(n.table.epoch(e.Name), uint64(n.cfg.Now().UnixMilli())) + 1
	n.table.set(e.Name, func(old fact, had bool) fact {
		if had && old.Origin { // a takeover, or a return: for the other nodes it goes on
			old.User, old.Room, old.Rank, old.Lost = e.Grant.User, e.Grant.Room, e.Grant.Rank, false
			return old
		}
		began = true
		return fact{Origin: true, Epoch: epoch, User: e.Grant.User, Room: e.Grant.Room, Rank: e.Grant.Rank, Spare: old.Spare}
	})
	f, _ := n.table.has(e.Name)
	n.mu.Lock()
	c := n.claims[e.Name]
	if c == nil || began {
		c = new(claim)
		n.claims[e.Name] = c
	}
	c.Claim = Claim{Name: e.Name, Node: n.cfg.Info.ID, Epoch: f.Epoch, User: f.User, Room: f.Room}
	n.mu.Unlock()
	if began {
		n.spawn(func() { n.note(c) })
	}
}

// note has the directory know of a new publisher. Should it know of a later epoch, ours becomes the
// next.
func (n *Node) note(c *claim) {
	n.mu.Lock()
	asked := c.Claim
	n.mu.Unlock()
	ctx, cancel := n.ask()
	defer cancel()
	got, err := n.cfg.Directory.Claim(ctx, asked, leaseTTL)
	if err != nil {
		return // the next beat
	}
	n.mu.Lock()
	current := n.claims[c.Name] == c
	if current {
		c.noted, c.Epoch = true, got.Epoch
	}
	n.mu.Unlock()
	if !current { // it has ended meanwhile
		_ = n.cfg.Directory.Release(ctx, got)
		return
	}
	n.table.set(c.Name, func(f fact, had bool) fact {
		if had && f.Origin && f.Epoch < got.Epoch {
			f.Epoch = got.Epoch
		}
		f.Gone = !had
		return f
	})
}

// Unpublished is told when a stream that was published here has ended for good, or is another's
// from now on.
func (n *Node) Unpublished(e relay.StreamEvent) {
	if e.Grant.Carried {
		return
	}
	if st, ok := n.relay.Stream(e.Name); ok && st.Live && st.Epoch > e.Epoch {
		return // the next publisher of this node has taken it over
	}
	n.withdraw(e.Name)
}

// Moved says whether a stream that was published here until that epoch has a later publisher at
// another node.
func (n *Node) Moved(name relay.Name, epoch uint64) bool {
	own, ok := n.table.has(name)
	return ok && own.Moved && own.Epoch >= epoch || n.table.moved(name, epoch)
}

// withdraw takes back what was told of a publisher here.
func (n *Node) withdraw(name relay.Name) {
	n.table.set(name, func(f fact, had bool) fact {
		if had && !f.Origin {
			return f
		}
		return f.ended()
	})
	n.release(name)
}

// release gives up the claim to a stream.
func (n *Node) release(name relay.Name) {
	n.mu.Lock()
	c := n.claims[name]
	delete(n.claims, name)
	n.mu.Unlock()
	if c == nil {
		return
	}
	released := c.Claim
	n.spawn(func() {
		n.claiming.RLock() // a renewal that knows nothing of it would claim it again
		defer n.claiming.RUnlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(n.ctx), askTimeout)
		defer cancel()
		_ = n.cfg.Directory.Release(ctx, released) // else it runs out
	})
}

// supersede gives up a publisher here: the stream has another origin now, of a later epoch, whose
// publisher has that rank. Its players stay, here and on the nodes that have copies, which may hear
// of the other origin only after us.
func (n *Node) supersede(own fact, epoch uint64, rank int) {
	if now, ok := n.table.has(own.Name); !ok || !now.Origin || now.Epoch != own.Epoch {
		return
	}
	n.moved.Add(1)
	n.log.Info("publisher is at another node now", "stream", own.Name.String(), "user", own.User)
	moved := fact{Name: own.Name, Epoch: epoch, Moved: true}
	n.table.set(own.Name, func(f fact, _ bool) fact { moved.Spare = f.Spare; return moved })
	n.release(own.Name)
	n.relay.Supersede(own.Name, rank)
	n.relay.EndIn(own.Name, func(s relay.Endpoint) bool { return s.Action == relay.ActionPlay && s.Protocol == Protocol }, relay.ErrReplaced)
	n.spawn(func() {
		sleep(n.ctx, returnTime)
		n.table.set(own.Name, func(f fact, had bool) fact {
			if had && !(f.Moved && f.Epoch == epoch) {
				return f
			}
			return f.ended()
		})
	})
}

// held returns what this node claims.
func (n *Node) held() []Claim {
	n.mu.Lock()
	defer n.mu.Unlock()
	var held []Claim
	for _, c := range n.claims {
		held = append(held, c.Claim)
	}
	return held
}

// renew tells the directory again what is published here.
func (n *Node) renew() {
	n.claiming.Lock()
	defer n.claiming.Unlock()
	n.mu.Lock()
	var held []Claim
	var unknown []*claim
	for _, c := range n.claims {
		if c.noted {
			held = append(held, c.Claim)
		} else {
			unknown = append(unknown, c)
		}
	}
	n.mu.Unlock()
	for _, c := range unknown {
		if n.ctx.Err() == nil {
			n.note(c)
		}
	}
	const page = 500
	for len(held) > 0 && n.ctx.Err() == nil {
		some := held[:min(page, len(held))]
		held = held[len(some):]
		ctx, cancel := n.ask()
		stand, err := n.cfg.Directory.Renew(ctx, some, leaseTTL)
		cancel()
		if err != nil {
			return
		}
		for i, c := range stand {
			if c.Node == some[i].Node {
				continue
			}
			if own, ok := n.table.has(c.Name); ok && own.Origin && own.Epoch == some[i].Epoch {
				rank := own.Rank // the directory has none
				if there, ok := n.table.origin(c.Name); ok {
					rank = there.Rank
				}
				n.supersede(own, c.Epoch, rank)
			}
		}
	}
}

// look tells the other nodes which publishers are lost, which are back and which stand by, and
// counts who is here.
func (n *Node) look() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		spares := map[relay.Name]bool{}
		for _, st := range n.relay.Streams() {
			if slices.ContainsFunc(st.Standby, func(s relay.StandbyState) bool { return s.Ready }) {
				spares[st.Name] = true
			}
		}
		n.spare(spares)
		origins := n.table.origins()
		n.streams.Store(int64(len(origins)))
		n.players.Store(int64(n.relay.Viewers()))
		for _, own := range origins {
			st, ok := n.relay.Stream(own.Name)
			lost := !ok || !st.Live || st.Copy
			n.table.set(own.Name, func(f fact, had bool) fact {
				f.Gone = !had
				if had && f.Origin {
					f.Lost = lost
				}
				return f
			})
			n.relay.Back(own.Name, n.table.spare(own.Name))
		}
	}
}

// spare tells at which streams a publisher of this node stands by.
func (n *Node) spare(streams map[relay.Name]bool) {
	for _, f := range n.table.spares() {
		if !streams[f.Name] {
			n.table.set(f.Name, func(f fact, had bool) fact {
				f.Spare = false
				f.Gone = !had || f.Epoch == 0
				return f
			})
		}
	}
	for name := range streams {
		n.table.set(name, func(f fact, _ bool) fact { f.Spare = true; return f })
	}
}

// Admit says whether a publisher may begin here, for all that is known of the stream at other
// nodes, by the same rules as if they were one: the error wraps [relay.ErrBusy]. Behind: the one
// there has another rank, this one stands by.
func (n *Node) Admit(name relay.Name, g relay.Grant) (behind bool, err error) {
	origin, ok := n.table.origin(name)
	own, here := n.table.has(name)
	switch {
	case here && own.Origin:
		return false, nil
	case !ok || !origin.alive:
		n.yield(name) // the copy here, if there is one, has nowhere to come from
		return false, nil
	}
	same := origin.User == g.User
	if !origin.Lost && relay.Beside(relay.Grant{User: origin.User, Room: origin.Room, Rank: origin.Rank}, g) {
		return true, nil
	}
	switch {
	case origin.Lost && same && origin.Room == g.Room:
		n.yield(name) // else the copy here would be in its way
	case g.Takeover == relay.TakeoverAny, g.Takeover == relay.TakeoverSameUser && same && g.User != "":
	default:
		return false, fmt.Errorf("%w: at node %s", relay.ErrBusy, origin.node.ID)
	}
	return false, nil
}
