package cluster

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"liverelay/relay"
)

// maxAhead is how far an epoch may lie before the clock, in ms: it began as one, of a node whose
// clock may be wrong.
const maxAhead = 24 * 60 * 60 * 1000

// fact is what a node says of one stream that it has.
type fact struct {
	relay.Name
	Epoch  uint64 `json:"epoch"`
	Origin bool   `json:"origin,omitempty"` // its publisher is there; else it is a copy
	Direct bool   `json:"direct,omitempty"` // a copy that comes from the origin itself
	Lost   bool   `json:"lost,omitempty"`   // its publisher is waited for
	User   string `json:"user,omitempty"`   // of the publisher
	Room   string `json:"room,omitempty"`
	Rank   int    `json:"rank,omitempty"`
	Spare  bool   `json:"spare,omitempty"` // a publisher stands by there, ready to go on with it
	Moved  bool   `json:"moved,omitempty"` // it was published there and has another origin now, of this epoch or a later one
	Gone   bool   `json:"gone,omitempty"`  // it has it no more
}

// peer is another node. What it told stays while it is not heard: it is the best that is known.
type peer struct {
	info  Info
	facts map[relay.Name]fact
	fresh map[relay.Name]struct{} // told since its link began; nil: it has told all
	alive bool                    // its link is up
	heard time.Time               // or learned of
	stop  func()                  // ends its link
}

// table is what this node and all others have.
type table struct {
	self string // static

	mu       sync.Mutex
	own      map[relay.Name]fact
	peers    map[string]*peer
	feeds    map[*feed]struct{}
	watchers map[relay.Name][]chan struct{} // closed at the next change
}

func newTable(self string) *table {
	return &table{
		self: self, own: map[relay.Name]fact{}, peers: map[string]*peer{},
		feeds: map[*feed]struct{}{}, watchers: map[relay.Name][]chan struct{}{},
	}
}

// ended is what is left of f once its publisher or copy is gone.
func (f fact) ended() fact { return fact{Spare: f.Spare, Gone: !f.Spare} }

// feed is what one other node is still to be told of ours.
type feed struct {
	signal chan struct{} // holds one: there is something

	changed map[relay.Name]struct{} // guarded by table.mu
}

// subscribe returns a feed that has everything to tell.
func (t *table) subscribe() *feed {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := &feed{signal: make(chan struct{}, 1), changed: make(map[relay.Name]struct{}, len(t.own))}
	for name := range t.own {
		f.changed[name] = struct{}{}
	}
	t.feeds[f] = struct{}{}
	return f
}

func (t *table) unsubscribe(f *feed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.feeds, f)
}

// unsaid returns up to most facts that the feed has to tell, and whether there are more.
func (t *table) unsaid(f *feed, most int) (facts []fact, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range f.changed {
		if len(facts) == most {
			return facts, true
		}
		delete(f.changed, name)
		own, ok := t.own[name]
		if !ok {
			own = fact{Name: name, Gone: true}
		}
		facts = append(facts, own)
	}
	return facts, false
}

// set changes what this node has of a stream: change gets what it had, or the zero fact, and
// returns what it has now; Gone: nothing.
func (t *table) set(name relay.Name, change func(old fact, had bool) fact) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, had := t.own[name]
	now := change(old, had)
	now.Name = name
	switch {
	case now.Gone && !had, had && now == old:
		return
	case now.Gone:
		delete(t.own, name)
	default:
		t.own[name] = now
	}
	for f := range t.feeds {
		f.changed[name] = struct{}{}
		select {
		case f.signal <- struct{}{}:
		default:
		}
	}
	t.wakeLocked(name)
}

// has returns what this node has of a stream.
func (t *table) has(name relay.Name) (fact, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.own[name]
	return f, ok
}

// origins returns the streams whose publisher is here, spares those at which one stands by.
func (t *table) origins() []fact { return t.those(func(f fact) bool { return f.Origin }) }
func (t *table) spares() []fact  { return t.those(func(f fact) bool { return f.Spare }) }

func (t *table) those(are func(fact) bool) []fact {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []fact
	for _, f := range t.own {
		if are(f) {
			all = append(all, f)
		}
	}
	return all
}

// later is a stream that was published here and has another origin now.
type later struct {
	own   fact
	epoch uint64 // of the other
	rank  int
}

// hear takes what a node says of its streams. It returns what of ours has another origin by it, and
// how many facts cannot be true.
func (t *table) hear(id string, begins, complete bool, facts []fact, now time.Time) (superseded []later, lies int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[id]
	if p == nil {
		return nil, 0
	}
	p.heard = now
	if !p.alive {
		p.alive = true
		for name := range t.watchers {
			t.wakeLocked(name)
		}
	}
	if begins {
		p.fresh = map[relay.Name]struct{}{}
	}
	for _, f := range facts {
		if p.fresh != nil {
			p.fresh[f.Name] = struct{}{}
		}
		switch {
		case f.Gone:
			delete(p.facts, f.Name)
		case f.Epoch > uint64(now.UnixMilli())+maxAhead:
			lies++
			continue
		default:
			p.facts[f.Name] = f
			if own := t.own[f.Name]; f.Origin && own.Origin && (f.Epoch > own.Epoch || f.Epoch == own.Epoch && id > t.self) {
				superseded = append(superseded, later{own, f.Epoch, f.Rank})
			}
		}
		t.wakeLocked(f.Name)
	}
	if complete && p.fresh != nil {
		for name := range p.facts {
			if _, told := p.fresh[name]; !told {
				delete(p.facts, name)
				t.wakeLocked(name)
			}
		}
		p.fresh = nil
	}
	return superseded, lies
}

// down notes that a node's link is broken.
func (t *table) down(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[id]; p != nil && p.alive {
		p.alive, p.fresh = false, nil
		for name := range p.facts {
			t.wakeLocked(name)
		}
	}
}

// forget drops a node that has said goodbye, or is long gone.
func (t *table) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[id]
	if p == nil {
		return
	}
	delete(t.peers, id)
	p.stop()
	for name := range p.facts {
		t.wakeLocked(name)
	}
}

// impostor says whether a node has the id of this one, or of another that is there, somewhere else.
func (t *table) impostor(n, self Info) bool {
	if n.ID == self.ID {
		return n.Boot != self.Boot
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[n.ID]
	return p != nil && p.alive && p.info.Boot != n.Boot && p.info.Address != n.Address
}

// watch returns a channel that is closed at the next change of what is known of a stream. The
// caller gives it back.
func (t *table) watch(name relay.Name) (changed <-chan struct{}, back func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := make(chan struct{})
	t.watchers[name] = append(t.watchers[name], c)
	return c, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		rest := slices.DeleteFunc(t.watchers[name], func(w chan struct{}) bool { return w == c })
		if len(rest) == 0 {
			delete(t.watchers, name)
		} else {
			t.watchers[name] = rest
		}
	}
}

func (t *table) wakeLocked(name relay.Name) {
	for _, c := range t.watchers[name] {
		close(c)
	}
	delete(t.watchers, name)
}

// place is a node that has a stream.
type place struct {
	fact
	node  Info
	alive bool
}

// origin returns the node that has the publisher of a stream, of several the one with the highest
// epoch; false: none but, perhaps, this one.
func (t *table) origin(name relay.Name) (place, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.originLocked(name)
}

func (t *table) originLocked(name relay.Name) (best place, ok bool) {
	for _, p := range t.peers {
		f, has := p.facts[name]
		if has && f.Origin && (!ok || cmp.Or(cmp.Compare(f.Epoch, best.Epoch), cmp.Compare(p.info.ID, best.node.ID)) > 0) {
			best, ok = place{f, p.info, p.alive}, true
		}
	}
	return best, ok
}

// nearest returns where a copy of a stream is best taken: from a node of our zone that has a copy
// of the origin's own, if the origin is in another zone, has as many edges as it should or is not
// reached from here; else from any such node, for the two last reasons; else from the origin.
func (t *table) nearest(name relay.Name, zone string, maxEdges int) (place, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	origin, ok := t.originLocked(name)
	if own := t.own[name]; !ok || own.Origin && own.Epoch >= origin.Epoch {
		return place{}, false
	}
	var near, all []place
	for _, p := range t.peers {
		if f, has := p.facts[name]; has && p.alive && p.info.State != Draining && f.Direct && f.Epoch == origin.Epoch {
			all = append(all, place{f, p.info, true})
			if zone != "" && p.info.Zone == zone {
				near = append(near, all[len(all)-1])
			}
		}
	}
	spared := len(all) >= maxEdges || !origin.alive
	switch {
	case len(near) > 0 && (spared || origin.node.Zone != zone):
		return near[rand.IntN(len(near))], true
	case len(all) > 0 && spared:
		return all[rand.IntN(len(all))], true
	}
	return origin, true
}

// moved says whether a node has shown a later epoch: as a copy, or because it has given up its
// publisher.
func (t *table) moved(name relay.Name, epoch uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.peers {
		if p.facts[name].Epoch > epoch {
			return true
		}
	}
	return false
}

// epoch returns the highest epoch that anybody has shown of a stream.
func (t *table) epoch(name relay.Name) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	epoch := t.own[name].Epoch
	for _, p := range t.peers {
		epoch = max(epoch, p.facts[name].Epoch)
	}
	return epoch
}

// spare says whether a publisher stands by a stream at another node.
func (t *table) spare(name relay.Name) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.peers {
		if p.alive && p.facts[name].Spare {
			return true
		}
	}
	return false
}

// Peer is another node, as this one knows it.
type Peer struct {
	Info
	Alive bool      // its link is up
	Heard time.Time // last
}

// nodes returns all other nodes.
func (t *table) nodes() []Peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Peer, 0, len(t.peers))
	for _, p := range t.peers {
		all = append(all, Peer{p.info, p.alive, p.heard})
	}
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// reaches says whether the link to a node is up, and it is that run of it.
func (t *table) reaches(n Info) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[n.ID]
	return p != nil && p.alive && p.info.Boot == n.Boot
}

// carriers returns the nodes that have a copy of a stream.
func (t *table) carriers(name relay.Name) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []string
	for id, p := range t.peers {
		if f, ok := p.facts[name]; ok && !f.Origin && !f.Moved && f.Epoch > 0 {
			ids = append(ids, id)
		}
	}
	if f, ok := t.own[name]; ok && !f.Origin && !f.Moved && f.Epoch > 0 {
		ids = append(ids, t.self)
	}
	slices.Sort(ids)
	return ids
}
