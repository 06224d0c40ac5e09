package room

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	memoryLog  = 1024            // changes kept per room
	memoryLast = 5 * time.Minute // how long those of a room that has ended are kept
)

// Memory is the store of one process: of one node, or of several in a test.
type Memory struct {
	now func() time.Time // static

	mu    sync.Mutex
	rooms map[Key]*memoryRoom
	ended []memoryEnd // oldest first
	// claims by app and stream: Room of the key is empty
	claims map[Claim]memoryClaim
	buses  map[*MemoryBus]struct{}
}

// memoryRoom is one room as the store has it. Guarded by Memory.mu.
type memoryRoom struct {
	pos    Position
	fields map[string]string
	log    []Record // the last is that of pos.Seq
	leases map[string]Lease
	fence  int64
}

// memoryClaim is a room that has a stream.
type memoryClaim struct {
	room string
	over time.Time
}

// memoryEnd is what is kept of a room that was dropped.
type memoryEnd struct {
	key  Key
	room *memoryRoom // its position and log
	over time.Time
}

var (
	_ Store = (*Memory)(nil)
	_ Bus   = (*MemoryBus)(nil)
)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		now: time.Now, rooms: map[Key]*memoryRoom{}, claims: map[Claim]memoryClaim{}, buses: map[*MemoryBus]struct{}{},
	}
}

// Read implements [Store].
func (m *Memory) Read(_ context.Context, key Key, at Position) (View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := View{Now: m.now().UnixMilli()}
	r := m.rooms[key]
	if at.Incarnation != "" && (r == nil || r.pos.Incarnation != at.Incarnation) {
		if end := m.endLocked(key, at.Incarnation); end != nil {
			v.Ended, v.Position, v.Full = true, end.pos, true
			if n, ok := end.after(at); ok {
				v.Full, v.Log = false, end.log[len(end.log)-n:]
			}
			return v, nil
		}
	}
	if r == nil {
		return v, nil
	}
	v.Exists, v.Position = true, r.pos
	for _, l := range r.leases {
		v.Leases = append(v.Leases, l)
	}
	if n, ok := r.after(at); ok {
		v.Log = append([]Record(nil), r.log[len(r.log)-n:]...)
		return v, nil
	}
	v.Full, v.Fields = true, maps.Clone(r.fields)
	if n := r.pos.Seq - at.Seq; at.Incarnation == r.pos.Incarnation && n > 0 {
		v.Log = append([]Record(nil), r.log[len(r.log)-int(min(n, int64(len(r.log)))):]...)
	}
	return v, nil
}

// endLocked finds what is kept of a room that was dropped.
func (m *Memory) endLocked(key Key, incarnation string) *memoryRoom {
	for _, e := range m.ended {
		if e.key == key && e.room.pos.Incarnation == incarnation {
			return e.room
		}
	}
	return nil
}

// dropLocked ends a room by a commit. Where there are other nodes, one that has missed it is told
// for as long as Redis keeps it, memoryLast.
func (m *Memory) dropLocked(key Key, r *memoryRoom, c *Commit) {
	delete(m.rooms, key)
	now := m.now()
	for len(m.ended) > 0 && !m.ended[0].over.After(now) {
		m.ended = m.ended[1:]
	}
	if len(m.buses) > 1 && len(c.Records) > 0 {
		r.append(c)
		m.ended = append(m.ended, memoryEnd{key, r, now.Add(memoryLast)})
	}
}

// append moves the room on by a commit's records.
func (r *memoryRoom) append(c *Commit) {
	for _, data := range c.Records {
		r.log = append(r.log, Record{Commit: c.ID, Data: data})
	}
	r.pos.Incarnation = c.Incarnation
	if len(c.Records) > 0 {
		r.pos.Seq, r.pos.Commit = c.Last(), c.ID
	}
}

// after is how many records of the log came after a position; false: the log does
// not reach back to it, or it is of another history.
func (r *memoryRoom) after(at Position) (int, bool) {
	n := r.pos.Seq - at.Seq
	switch {
	case at.Incarnation != r.pos.Incarnation || n < 0 || n > int64(len(r.log)):
		return 0, false
	case at.Commit == "":
		return int(n), true
	case n == 0:
		return 0, at.Commit == r.pos.Commit
	case n == int64(len(r.log)): // the record at that position is no longer there
		return 0, false
	}
	return int(n), r.log[len(r.log)-1-int(n)].Commit == at.Commit
}

// Commit implements [Store].
func (m *Memory) Commit(_ context.Context, key Key, c *Commit) (int64, error) {
	m.mu.Lock()
	fence, err := m.commitLocked(key, c)
	buses := m.busesLocked(key)
	m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if len(c.Records) > 0 || c.Drop {
		n := Notice{
			Kind: NoticeCommit, Incarnation: c.Incarnation, Before: c.At, Seq: c.Seq, Commit: c.ID,
			Records: c.Records, Dropped: c.Drop,
		}
		for _, b := range buses {
			b.receive(key, n)
		}
	}
	return fence, nil
}

func (m *Memory) commitLocked(key Key, c *Commit) (int64, error) {
	now := m.now().UnixMilli()
	r := m.rooms[key]
	switch {
	case r == nil && c.At.Incarnation != "", r != nil && r.pos != c.At:
		return 0, ErrConflict
	}
	if r == nil {
		if c.Drop {
			return 0, nil
		}
		if c.Fence != 0 {
			return 0, ErrFenced
		}
		r = &memoryRoom{fields: map[string]string{}, leases: map[string]Lease{}}
		m.rooms[key] = r
	}
	for _, e := range c.Expired {
		if l, ok := r.leases[e.Node]; ok && l.Fence == e.Fence && l.Expires > now {
			return 0, ErrConflict
		}
	}
	lease, held := r.leases[c.Node]
	switch {
	case c.Fence == 0:
		r.fence = max(r.fence, c.LastFence) + 1
		lease = Lease{Node: c.Node, Fence: r.fence}
	case !held || lease.Fence != c.Fence:
		return 0, ErrFenced
	}
	lease.Expires = now + c.TTL.Milliseconds()
	r.leases[c.Node] = lease
	for _, e := range c.Expired {
		if e.End && r.leases[e.Node].Fence == e.Fence {
			delete(r.leases, e.Node)
		}
	}
	if c.Drop {
		m.dropLocked(key, r, c)
		return lease.Fence, nil
	}
	if c.Replace {
		r.fields, r.log = map[string]string{}, nil
	}
	for _, field := range c.Delete {
		delete(r.fields, field)
	}
	maps.Copy(r.fields, c.Set)
	r.append(c)
	if over := len(r.log) - memoryLog; over > 0 {
		r.log = append([]Record(nil), r.log[over:]...)
	}
	return lease.Fence, nil
}

// Renew implements [Store].
func (m *Memory) Renew(_ context.Context, node string, ttl time.Duration, holdings []Holding) ([]LeaseState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UnixMilli()
	standing := make([]LeaseState, len(holdings))
	for i, h := range holdings {
		st := &standing[i]
		st.Now = now
		r := m.rooms[h.Key]
		if r == nil {
			continue
		}
		st.Exists, st.Position = true, r.pos
		if l, ok := r.leases[node]; ok && l.Fence == h.Fence {
			l.Expires = now + ttl.Milliseconds()
			r.leases[node] = l
			st.Held = true
		}
		for _, l := range r.leases {
			if l.Node != node && l.Expires < now {
				st.Expired = append(st.Expired, l)
			}
		}
	}
	return standing, nil
}

// Claim implements [Store].
func (m *Memory) Claim(_ context.Context, claims []Claim, ttl time.Duration) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	rooms := make([]string, len(claims))
	for i, c := range claims {
		key := Claim{App: c.App, Stream: c.Stream}
		has, ok := m.claims[key]
		switch {
		case ok && has.over.After(now) && (has.room != c.Room || ttl == 0):
			rooms[i] = has.room
		case ttl > 0:
			m.claims[key] = memoryClaim{c.Room, now.Add(ttl)}
			rooms[i] = c.Room
		case ok:
			delete(m.claims, key)
		}
	}
	return rooms, nil
}

// Unclaim implements [Store].
func (m *Memory) Unclaim(_ context.Context, c Claim) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := Claim{App: c.App, Stream: c.Stream}
	if m.claims[key].room == c.Room {
		delete(m.claims, key)
	}
	return nil
}

// Recall implements [Store]: nothing is ever lost here.
func (m *Memory) Recall(context.Context, Key) (time.Duration, error) { return NotLost, nil }

// Release implements [Store].
func (m *Memory) Release(_ context.Context, key Key, node string, fence int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rooms[key]; r != nil && r.leases[node].Fence == fence {
		delete(r.leases, node)
	}
	return nil
}

// MemoryBus is one node's end of the bus of a Memory.
type MemoryBus struct {
	store *Memory

	mu     sync.Mutex
	handle func(Key, Notice)
	keys   map[Key]struct{}
}

// Bus makes an end of the bus for one more node.
func (m *Memory) Bus() *MemoryBus {
	b := &MemoryBus{store: m, keys: map[Key]struct{}{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buses[b] = struct{}{}
	return b
}

func (m *Memory) busesLocked(key Key) []*MemoryBus {
	var list []*MemoryBus
	for b := range m.buses {
		if b.wants(key) {
			list = append(list, b)
		}
	}
	return list
}

func (b *MemoryBus) wants(key Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.keys[key]
	return ok && b.handle != nil
}

func (b *MemoryBus) receive(key Key, n Notice) {
	b.mu.Lock()
	handle := b.handle
	b.mu.Unlock()
	if handle != nil {
		handle(key, n)
	}
}

// Start implements [Bus].
func (b *MemoryBus) Start(handle func(Key, Notice)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = handle
}

// Subscribe implements [Bus]. Nothing is ever lost here, and a room is read
// after it is subscribed to: there is no need for a resync.
func (b *MemoryBus) Subscribe(key Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys[key] = struct{}{}
}

// Unsubscribe implements [Bus].
func (b *MemoryBus) Unsubscribe(key Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.keys, key)
}

// Send implements [Bus].
func (b *MemoryBus) Send(_ context.Context, key Key, payload []byte) error {
	b.store.mu.Lock()
	buses := b.store.busesLocked(key)
	b.store.mu.Unlock()
	for _, o := range buses {
		o.receive(key, Notice{Kind: NoticeMessage, Payload: payload})
	}
	return nil
}

// Close implements [Bus].
func (b *MemoryBus) Close() error {
	b.store.mu.Lock()
	delete(b.store.buses, b)
	b.store.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = nil
	return nil
}
