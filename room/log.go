package room

import (
	"context"
	"encoding/json"
)

const (
	maxLog      = 1024 // changes kept for members that return, and at most maxLogBytes
	maxLogBytes = 512 << 10
)

// changes are the latest of a room, for members that return.
type changes struct {
	entries []entry
	bytes   int
}

// entry is one change as kept for members that return.
type entry struct {
	seq  int64
	time int64
	data []byte
}

// remember keeps a change for members that return.
func (r *Room) remember(ch *Change, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.entries = append(r.log.entries, entry{seq: ch.Seq, time: ch.Time, data: data})
	r.log.bytes += len(data)
	r.trimLocked(0)
}

// trimLocked forgets what is too much or older than before (ms).
func (r *Room) trimLocked(before int64) {
	n := 0
	for n < len(r.log.entries) && (len(r.log.entries)-n > maxLog || r.log.bytes > maxLogBytes || r.log.entries[n].time < before) {
		r.log.bytes -= len(r.log.entries[n].data)
		n++
	}
	if n > 0 {
		r.log.entries = append([]entry(nil), r.log.entries[n:]...)
	}
}

func (r *Room) forgetLog() {
	r.mu.Lock()
	r.log.entries, r.log.bytes = nil, 0
	r.mu.Unlock()
}

// since returns the changes after seq, oldest first; false: no longer known here.
func (r *Room) since(seq int64) ([]*Change, bool) {
	if seq == r.copy.st.Seq {
		return nil, true
	}
	r.mu.Lock()
	log := r.log.entries // entries are never changed in place
	r.mu.Unlock()
	if seq > r.copy.st.Seq || len(log) == 0 || log[0].seq > seq+1 {
		return nil, false
	}
	var missed []*Change
	for _, e := range log {
		if e.seq > seq {
			if ch, ok := parseChange(e.data, e.seq); ok {
				missed = append(missed, ch)
			}
		}
	}
	return missed, true
}

func parseChange(data []byte, seq int64) (*Change, bool) {
	ch := &Change{}
	if err := json.Unmarshal(data, ch); err != nil || !ch.complete() {
		return nil, false
	}
	ch.Seq = seq
	return ch, true
}

// missed returns what came after seq: from this node's log, or the store's.
func (r *Room) missed(seq int64) ([]*Change, bool) {
	if seq <= 0 || seq > r.copy.st.Seq {
		return nil, false
	}
	if missed, ok := r.since(seq); ok {
		return missed, true
	}
	ctx, cancel := context.WithTimeout(r.svc.ctx, r.svc.cfg.StoreTimeout)
	defer cancel()
	var v View
	err := r.svc.guard(func() (err error) {
		v, err = r.svc.store.Read(ctx, r.key, Position{Incarnation: r.copy.st.Incarnation, Seq: seq})
		return err
	})
	if err != nil || v.Full || !v.Exists || v.Position.Incarnation != r.copy.st.Incarnation {
		return nil, false
	}
	var missed []*Change
	for i, rec := range v.Log {
		if at := seq + int64(i) + 1; at <= r.copy.st.Seq {
			if ch, ok := parseChange(rec.Data, at); ok {
				missed = append(missed, ch)
			}
		}
	}
	return missed, v.Seq >= r.copy.st.Seq
}
