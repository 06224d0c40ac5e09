package webrtc

import "time"

const (
	// reorderPackets and reorderTime are how long a missing packet is waited for, before the next
	// goes on without it: as long as it takes to ask for it again, a time or two.
	reorderPackets = 512
	reorderTime    = 250 * time.Millisecond
)

// reorder puts the packets of one track in order, by sequence number. What comes in order is passed
// on as it is; only what is early is kept. The zero value is ready.
type reorder struct {
	begun  bool
	next   uint16 // the sequence number that is due
	early  int    // how many are kept
	since  time.Time
	places [reorderPackets]place
}

// place keeps one early packet. Its memory is used again.
type place struct {
	full   bool
	packet packet
}

// packet is an RTP packet of a publisher.
type packet struct {
	sequence  uint16
	timestamp uint32
	marker    bool
	payload   []byte
}

// push takes a packet and tells those that are due, in order. lost: some before it are missing, for
// good. The payloads are the caller's, and places', again afterwards.
func (r *reorder) push(p packet, now time.Time, tell func(p packet, lost bool)) {
	if !r.begun {
		r.begun, r.next = true, p.sequence
	}
	ahead := p.sequence - r.next
	switch {
	case ahead >= 1<<15: // it comes too late, or twice
		return
	case ahead >= reorderPackets: // it is another stream by now
		r.clear()
		r.next = p.sequence + 1
		tell(p, true)
		return
	case ahead > 0:
		r.keep(p, now)
		if r.early < reorderPackets/2 && now.Sub(r.since) < reorderTime {
			return
		}
		r.skip(tell)
	default:
		r.next++
		tell(p, false)
	}
	r.run(now, tell)
}

func (r *reorder) keep(p packet, now time.Time) {
	at := &r.places[p.sequence%reorderPackets]
	if at.full {
		return // the same
	}
	if r.early == 0 {
		r.since = now
	}
	r.early++
	memory := append(at.packet.payload[:0], p.payload...)
	at.full, at.packet = true, p
	at.packet.payload = memory
}

// skip gives up what is due, up to the first packet that is here.
func (r *reorder) skip(tell func(packet, bool)) {
	for range reorderPackets {
		if at := &r.places[r.next%reorderPackets]; at.full {
			at.full = false
			r.early--
			r.next++
			tell(at.packet, true)
			return
		}
		r.next++
	}
}

// run tells what is due and here.
func (r *reorder) run(now time.Time, tell func(packet, bool)) {
	for r.early > 0 {
		at := &r.places[r.next%reorderPackets]
		if !at.full {
			r.since = now // the next hole has its own time
			return
		}
		at.full = false
		r.early--
		r.next++
		tell(at.packet, false)
	}
}

func (r *reorder) clear() {
	for i := range r.places {
		r.places[i].full = false
	}
	r.early = 0
}
