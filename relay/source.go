package relay

import "sync"

// Source provides streams without a publisher here, such as those of the cluster's other nodes.
// Its methods are called one at a time and in order, never on a media goroutine.
type Source interface {
	// Wanted says that somebody here plays the stream, or waits for it, and that it has no
	// publisher. Until Unwanted the source may publish it here, as a [Copy], as often as it has to.
	Wanted(Name)
	// Unwanted says that nobody plays the stream any more, or that it is published here itself.
	Unwanted(Name)
}

// demand is what a relay asks its source for; nil: nothing.
type demand struct {
	source Source     // static
	calls  *hookQueue // static

	mu     sync.Mutex // innermost
	wishes map[Name]*wish
}

// wish is a stream that somebody plays or waits for.
type wish struct {
	players int
	asked   bool // the source was, for this
}

func newDemand(s Source) *demand {
	if s == nil {
		return nil
	}
	return &demand{source: s, calls: newHookQueue(Hooks{}), wishes: map[Name]*wish{}}
}

// want counts one who wants to play.
func (d *demand) want(n Name) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.wishes[n]
	if w == nil {
		w = new(wish)
		d.wishes[n] = w
	}
	w.players++
}

// leave takes back what enter counted.
func (d *demand) leave(n Name) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.wishes[n]
	if w.players--; w.players > 0 {
		return
	}
	delete(d.wishes, n)
	d.tellLocked(n, w, false)
}

// ask says that the stream has no publisher.
func (d *demand) ask(n Name) { d.tell(n, true) }

// found says that the stream is published here.
func (d *demand) found(n Name) { d.tell(n, false) }

func (d *demand) tell(n Name, wanted bool) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wishes[n]; w != nil {
		d.tellLocked(n, w, wanted)
	}
}

func (d *demand) tellLocked(n Name, w *wish, wanted bool) {
	if w.asked == wanted {
		return
	}
	w.asked = wanted
	call := d.source.Unwanted
	if wanted {
		call = d.source.Wanted
	}
	d.calls.call(func() { call(n) })
}

// drain waits until the source has been told of all.
func (d *demand) drain() {
	if d != nil {
		d.calls.drain()
	}
}

// wantLocked asks for the stream if it has no publisher. The caller holds relay.mu.
func (st *Stream) wantLocked() {
	if st.relay.demand == nil && st.relay.filler(st.name) == nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.publisher == nil {
		st.relay.demand.ask(st.name)
		st.fillLocked()
	}
}
