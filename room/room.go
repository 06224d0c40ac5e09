package room

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	maxBatch     = 256 // commands in one commit
	maxQueue     = 16384
	maxAttempts  = 16
	restoreJump  = 1 << 20 // what a restored room's sequence is ahead of any seen
	largeRoom    = 500     // above: user events are merged
	maxNoticeLag = 512     // notices waiting; more are replaced by one read
)

// command is one request to change or read a room; the room's goroutine executes it.
type command struct {
	// apply evaluates it against the room, adding its changes. It may be called
	// again when another node's commit came first. An error refuses the command.
	apply func(t *tx) error
	// done is told the outcome, after everybody else was told of the changes.
	done    func(err error)
	must    bool // it is told of what has happened: never refused for overload
	login   bool // it ends with a snapshot: messages behind it wait for the next commit
	message bool
}

// Room is this node's copy of one room, with the sessions and media it owns in it.
type Room struct {
	svc *Service // static
	key Key      // static

	copy       copied // owned by run
	own        own    // owned by run; sessions and those awaited are read under mu too
	told       told   // owned by run
	limits     limits // owned by run; logins is guarded by mu
	quietClose bool   // owned by run: the backend closes the room and wants no callback
	mu         sync.Mutex
	inbox      inbox   // guarded by mu
	log        changes // guarded by mu
	known      known   // guarded by mu
}

// copied is the room as this node knows it, and what it knows of the other nodes in it.
type copied struct {
	st        *state
	loaded    bool // st is what the store had at some time
	fence     int64
	lastFence int64
	assertOwn bool                 // compare what this node owns with st
	expired   []expired            // nodes that seem dead
	orphans   map[string]time.Time // nodes without a lease, since when
	snapshots bool                 // st was replaced: sessions need a snapshot, not changes
	seen      []string             // commits of the latest read
}

// own is what this node has in the room, and asserts.
type own struct {
	sessions map[string]*Session // by user; written by run under mu
	media    map[string]*media
	players  map[string]map[uint64]PlayerEvent // by user and player
	stranded map[string]time.Time              // users with players here who are not in the room, since when
	claims   map[string]struct{}               // ids of streams that are live here
	gone     map[string]leaving
	// Members who resumed here and were told to come again, for the store did not answer: it may
	// have them here by now. They have the grace to come. By user; written by run under mu.
	awaited map[string]*Session
}

// told is what the sessions here have been told, and what they have not.
type told struct {
	unsent   unsent    // messages before a snapshot
	users    userMerge // user events not told yet
	flushDue bool
	snap     [2]json.RawMessage // the room as of snapAt, without and with users
	snapAt   [2]Position
	count    int
}

// inbox is what waits for run.
type inbox struct {
	queue   []command
	looks   []func() // at the copy, as it is: without the store
	notices []Notice
	running bool
	closed  bool
	stale   bool // read the store before the next command
}

// known is what other goroutines may know of what run owns.
type known struct {
	pos          Position
	held         int64 // fence
	users        int
	streams      int  // that are live
	haveOrphans  bool // nodes without a lease are in the room
	pendingMedia bool // media waits for its user, or for another node to announce it
}

// leaving says why a session ended that the store may still have.
type leaving struct {
	session string
	why     Reason
}

func newRoom(svc *Service, key Key) *Room {
	return &Room{
		svc: svc, key: key, copy: copied{st: newState()}, limits: newLimits(),
		own: own{
			sessions: map[string]*Session{}, media: map[string]*media{}, players: map[string]map[uint64]PlayerEvent{},
			stranded: map[string]time.Time{}, claims: map[string]struct{}{}, gone: map[string]leaving{},
			awaited: map[string]*Session{},
		},
	}
}

// do queues a command; false: the room was unloaded, take it anew.
func (r *Room) do(c command) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inbox.closed {
		return false
	}
	if len(r.inbox.queue) >= maxQueue && !c.must {
		if c.done != nil {
			r.svc.running.Go(func() { c.done(Refuse(CodeTooFrequent, "the room is overloaded")) })
		}
		return true
	}
	r.inbox.queue = append(r.inbox.queue, c)
	r.startLocked()
	return true
}

// notice queues what the bus brought.
func (r *Room) notice(n Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inbox.closed {
		return
	}
	if n.Kind == NoticeCommit && n.Before.Incarnation == r.known.pos.Incarnation && r.known.pos.Incarnation != "" &&
		n.Before.Seq < r.known.pos.Seq && n.Commit == r.known.pos.Commit {
		return // our own, come back
	}
	if n.Kind == NoticeResync || len(r.inbox.notices) >= maxNoticeLag {
		r.inbox.stale = true
	} else {
		r.inbox.notices = append(r.inbox.notices, n)
	}
	r.startLocked()
}

// refresh makes the room read the store again.
func (r *Room) refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.inbox.closed {
		r.inbox.stale = true
		r.startLocked()
	}
}

// touch lets a room that nobody uses after all be unloaded.
func (r *Room) touch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.inbox.closed && r.idleLocked() {
		r.startLocked()
	}
}

func (r *Room) startLocked() {
	if !r.inbox.running {
		r.inbox.running = true
		r.svc.running.Go(r.run)
	}
}

// run works until nothing is queued.
func (r *Room) run() {
	for {
		r.mu.Lock()
		n := min(len(r.inbox.queue), maxBatch)
		batch := r.inbox.queue[:n:n]
		r.inbox.queue = r.inbox.queue[n:]
		if len(r.inbox.queue) == 0 {
			r.inbox.queue = nil
		}
		notices := r.inbox.notices
		r.inbox.notices = nil
		looks := r.inbox.looks
		r.inbox.looks = nil
		stale := r.inbox.stale
		r.inbox.stale = false
		if n == 0 && len(notices) == 0 && len(looks) == 0 && !stale {
			r.inbox.running = false
			if r.idleLocked() {
				r.inbox.closed = true
				r.mu.Unlock()
				r.unload()
				return
			}
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if stale {
			r.copy.loaded = false
		}
		for _, n := range notices {
			r.hear(n)
		}
		for _, look := range looks {
			look()
		}
		for ok := true; ok && (len(batch) > 0 || !r.copy.loaded || r.copy.assertOwn); {
			batch, ok = r.process(batch)
		}
	}
}

// idleLocked: nothing of this node is in the room.
func (r *Room) idleLocked() bool {
	return !r.owns() && len(r.own.gone) == 0
}

// unload forgets the room; its lease ends.
func (r *Room) unload() {
	r.svc.forget(r)
	if r.copy.fence != 0 {
		ctx, cancel := r.svc.storeTime()
		defer cancel()
		if err := r.svc.store.Release(ctx, r.key, r.svc.node, r.copy.fence); err != nil {
			r.svc.log.Debug("release room lease", "room", r.key, "err", err) // it expires by itself
		}
	}
}

// process commits a batch; it stops before a message that must follow a login.
// It returns the rest; false: the store could not be reached, and all were told.
func (r *Room) process(batch []command) (rest []command, ok bool) {
	failure := ErrConflict
	for range maxAttempts {
		if !r.copy.loaded {
			if err := r.sync(); err != nil {
				failure = err
				break
			}
		}
		t := r.begin()
		asserted := r.copy.assertOwn
		if asserted {
			r.copy.assertOwn = false
			r.assert(t)
		}
		r.bury(t)
		errs := t.evaluate(batch)
		n := len(errs)
		err := r.commit(t)
		if err == nil {
			r.committed(t, asserted)
			r.finish(batch[:n], errs)
			return batch[n:], true
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrFenced) {
			failure = err
			break
		}
		r.copy.assertOwn = r.copy.assertOwn || asserted
		if errors.Is(err, ErrFenced) {
			r.copy.fence, r.copy.assertOwn = 0, true
		}
		r.copy.loaded = false
		if err := r.sync(); err != nil {
			failure = err
			break
		}
		if slices.Contains(r.copy.seen, t.id) {
			r.finish(batch[:n], errs) // it was made after all; sync has told everybody
			return batch[n:], true
		}
	}
	r.copy.loaded, r.copy.assertOwn = false, true
	r.svc.retryLater(r)
	for _, c := range batch {
		if c.done != nil {
			c.done(failure)
		}
	}
	return nil, false
}

// committed is what follows a commit, before those who wait are told.
func (r *Room) committed(t *tx, asserted bool) {
	if asserted {
		clear(r.own.gone)
	}
	for _, l := range t.expired {
		if l.End {
			r.svc.log.Info("room lease of a dead node ended", "room", r.key, "node", l.Node)
		}
	}
	if r.copy.snapshots {
		r.copy.snapshots = false
		r.sendSnapshots()
	}
}

func (r *Room) finish(batch []command, errs []error) {
	for i, c := range batch {
		if c.done != nil {
			c.done(errs[i])
		}
	}
}

func (r *Room) begin() *tx {
	return &tx{room: r, st: r.copy.st, now: r.svc.now().UnixMilli(), id: r.svc.nextID(), fields: map[string]struct{}{}}
}

// commit writes what t has collected, and tells everybody. On an error t is undone.
func (r *Room) commit(t *tx) error {
	rejoin := r.copy.fence == 0 && r.owns() && t.st.exists()
	if len(t.changes) == 0 && len(t.expired) == 0 && !rejoin {
		r.position() // what this node has may have changed
		return nil
	}
	c, err := t.commit(r)
	if err != nil {
		t.undo()
		return err
	}
	ctx, cancel := r.svc.storeTime()
	defer cancel()
	var fence int64
	err = r.svc.guard(func() (err error) {
		fence, err = r.svc.store.Commit(ctx, r.key, c)
		return err
	})
	if err != nil {
		t.undo()
		return err
	}
	r.copy.expired = nil
	r.copy.fence, r.copy.lastFence = fence, max(fence, r.copy.lastFence)
	created := t.st.Incarnation == ""
	t.st.Incarnation = c.Incarnation
	if len(t.changes) > 0 {
		t.st.Commit = c.ID
	}
	for i, ch := range t.changes {
		ch.Seq = c.Seq + int64(i)
		t.st.Seq = ch.Seq
		r.remember(ch, c.Records[i])
	}
	if created {
		r.observed(RoomCreated, t.now, nil, false)
	}
	r.tell(t.changes, true)
	if c.Drop {
		r.observed(RoomClosed, t.now, lastLeave(t.changes), r.quietClose)
		r.quietClose = false
		r.copy.st, r.copy.fence = newState(), 0
		r.forgetLog()
	}
	r.position()
	return nil
}

func lastLeave(changes []*Change) *Change {
	for _, ch := range slices.Backward(changes) {
		if ch.Op == OpLeave {
			return ch
		}
	}
	return nil
}

// position publishes where the room is, for other goroutines.
func (r *Room) position() {
	r.mu.Lock()
	r.known.pos, r.known.held, r.known.users, r.known.streams = r.copy.st.Position, r.copy.fence, r.copy.st.users, r.copy.st.liveCount()
	r.known.haveOrphans, r.known.pendingMedia = len(r.copy.orphans) > 0, len(r.own.stranded) > 0
	for _, m := range r.own.media {
		r.known.pendingMedia = r.known.pendingMedia || !m.announced || !m.moved.IsZero()
	}
	r.mu.Unlock()
}

// storeTime is how long one step at the store may take.
func (s *Service) storeTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, s.cfg.StoreTimeout)
}
