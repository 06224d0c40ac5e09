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
	maxLog       = 1024 // changes kept for members that return, and at most maxLogBytes
	maxLogBytes  = 512 << 10
	restoreJump  = 1 << 20 // what a restored room's sequence is ahead of any seen
	largeRoom    = 500     // above: user events are merged
	maxNoticeLag = 512     // notices waiting; more are replaced by one read
)

// command is one wish to change or read a room, done by its goroutine.
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

	// owned by run
	st         *state
	loaded     bool // st is a copy of what the store had at some time
	fence      int64
	lastFence  int64
	assertOwn  bool // compare what this node owns with the copy
	media      map[string]*media
	players    map[string]map[uint64]PlayerEvent // by user and player
	stranded   map[string]time.Time              // users with players here who are not in the room, since when
	claims     map[string]struct{}               // ids of streams that are live here
	expired    []expired                         // nodes that seem dead
	orphans    map[string]time.Time              // nodes without a lease, since when
	snapshots  bool                              // the copy was replaced: sessions need a snapshot, not changes
	seen       []string                          // commits of the latest read
	gone       map[string]leaving
	unsaid     unsaid    // … and messages before them
	users      userMerge // user events not told yet
	flushDue   bool
	quietClose bool               // the backend closes the room and wants no callback
	snap       [2]json.RawMessage // the room as of snapAt, without and with users
	snapAt     [2]Position
	countTold  int
	broadcasts bucket
	barrages   bucket
	customs    bucket
	customMany bucket
	infos      bucket

	// guarded by mu
	mu           sync.Mutex
	queue        []command
	notices      []Notice
	running      bool
	closed       bool
	stale        bool                // read the store before the next command
	sessions     map[string]*Session // by user; written by run only
	log          []entry             // what members that return may have missed
	logBytes     int
	logins       bucket
	pos          Position // of st
	held         int64    // fence
	userCount    int
	haveOrphans  bool // nodes without a lease are in the room
	pendingMedia bool // media waits for its user
}

// entry is one change as kept for members that return.
type entry struct {
	seq  int64
	time int64
	data []byte
}

// leaving says why a session ended that the store may still have.
type leaving struct {
	session string
	why     Reason
}

func newRoom(svc *Service, key Key) *Room {
	r := &Room{
		svc: svc, key: key, st: newState(),
		media: map[string]*media{}, players: map[string]map[uint64]PlayerEvent{}, stranded: map[string]time.Time{}, claims: map[string]struct{}{}, gone: map[string]leaving{},
		sessions: map[string]*Session{},
	}
	r.broadcasts, r.barrages = newBucket(10, 10), newBucket(20, 20)
	r.customs, r.customMany = newBucket(200, 200), newBucket(10, 10)
	r.infos, r.logins = newBucket(10, 10), newBucket(200, 200)
	return r
}

// do queues a command; false: the room was unloaded, take it anew.
func (r *Room) do(c command) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if len(r.queue) >= maxQueue && !c.must {
		if c.done != nil {
			r.svc.spawn(func() { c.done(refuse(CodeTooFrequent, "the room is overloaded")) })
		}
		return true
	}
	r.queue = append(r.queue, c)
	r.startLocked()
	return true
}

// notice queues what the bus brought.
func (r *Room) notice(n Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if n.Kind == NoticeCommit && n.Before.Incarnation == r.pos.Incarnation && r.pos.Incarnation != "" &&
		n.Before.Seq < r.pos.Seq && n.Commit == r.pos.Commit {
		return // our own, come back
	}
	if n.Kind == NoticeResync || len(r.notices) >= maxNoticeLag {
		r.stale = true
	} else {
		r.notices = append(r.notices, n)
	}
	r.startLocked()
}

// refresh makes the room read the store again.
func (r *Room) refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.stale = true
		r.startLocked()
	}
}

// touch lets a room that nobody uses after all be unloaded.
func (r *Room) touch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && r.idleLocked() {
		r.startLocked()
	}
}

func (r *Room) startLocked() {
	if !r.running {
		r.running = true
		r.svc.spawn(r.run)
	}
}

// run works until nothing is queued.
func (r *Room) run() {
	for {
		r.mu.Lock()
		n := min(len(r.queue), maxBatch)
		batch := r.queue[:n:n]
		r.queue = r.queue[n:]
		if len(r.queue) == 0 {
			r.queue = nil
		}
		notices := r.notices
		r.notices = nil
		stale := r.stale
		r.stale = false
		if n == 0 && len(notices) == 0 && !stale {
			r.running = false
			if r.idleLocked() {
				r.closed = true
				r.mu.Unlock()
				r.unload()
				return
			}
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if stale {
			r.loaded = false
		}
		for _, n := range notices {
			r.hear(n)
		}
		for ok := true; ok && (len(batch) > 0 || !r.loaded || r.assertOwn); {
			batch, ok = r.process(batch)
		}
	}
}

// idleLocked: nothing of this node is in the room.
func (r *Room) idleLocked() bool {
	return len(r.sessions) == 0 && len(r.media) == 0 && len(r.players) == 0 && len(r.gone) == 0
}

// unload forgets the room; its lease ends.
func (r *Room) unload() {
	r.svc.forget(r)
	if r.fence != 0 {
		ctx, cancel := r.svc.storeTime()
		defer cancel()
		if err := r.svc.store.Release(ctx, r.key, r.svc.node, r.fence); err != nil {
			r.svc.log.Debug("release room lease", "room", r.key, "err", err) // it expires by itself
		}
	}
}

// process does the commands of a batch in one commit, or as many as may be in one.
// It returns the rest; false: the store could not be reached, and all were told.
func (r *Room) process(batch []command) (rest []command, ok bool) {
	var failure error
	for attempt := 0; attempt < maxAttempts; attempt++ {
		if !r.loaded {
			if failure = r.sync(); failure != nil {
				break
			}
		}
		t := r.begin()
		asserted := r.assertOwn
		if asserted {
			r.assertOwn = false
			r.assert(t)
		}
		r.bury(t)
		errs := make([]error, len(batch))
		n := 0
		for n < len(batch) && !(batch[n].message && t.login) {
			errs[n] = batch[n].apply(t)
			t.login = t.login || batch[n].login && errs[n] == nil
			n++
		}
		err := r.commit(t)
		switch {
		case err == nil:
			if asserted {
				clear(r.gone)
			}
			for _, l := range t.expired {
				if l.End {
					r.svc.log.Info("room lease of a dead node ended", "room", r.key, "node", l.Node)
				}
			}
			if r.snapshots {
				r.snapshots = false
				r.sendSnapshots()
			}
			r.finish(batch[:n], errs)
			return batch[n:], true
		case errors.Is(err, ErrConflict), errors.Is(err, ErrFenced):
			r.assertOwn = r.assertOwn || asserted
			if errors.Is(err, ErrFenced) {
				r.fence, r.assertOwn = 0, true
			}
			r.loaded = false
			if failure = r.sync(); failure == nil && slices.Contains(r.seen, t.id) {
				r.finish(batch[:n], errs) // it was made after all; sync has told everybody
				return batch[n:], true
			}
			if failure != nil {
				attempt = maxAttempts
			}
		default:
			failure, attempt = err, maxAttempts
		}
	}
	if failure == nil {
		failure = ErrConflict
	}
	r.loaded, r.assertOwn = false, true
	r.svc.retryLater(r)
	for _, c := range batch {
		if c.done != nil {
			c.done(failure)
		}
	}
	return nil, false
}

func (r *Room) finish(batch []command, errs []error) {
	for i, c := range batch {
		if c.done != nil {
			c.done(errs[i])
		}
	}
}

func (r *Room) begin() *tx {
	return &tx{room: r, st: r.st, now: r.svc.now().UnixMilli(), id: r.svc.nextID(), fields: map[string]struct{}{}}
}

// commit writes what t has collected, and tells everybody. On an error t is undone.
func (r *Room) commit(t *tx) error {
	rejoin := r.fence == 0 && r.owns() && t.st.exists()
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
	r.expired = nil
	r.fence, r.lastFence = fence, max(fence, r.lastFence)
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
		r.svc.callbacks.created(r, t.now)
	}
	r.tell(t.changes, true)
	if c.Drop {
		r.svc.callbacks.closed(r, t.now, t.changes, r.quietClose)
		r.quietClose = false
		r.st, r.fence = newState(), 0
		r.forgetLog()
	}
	r.position()
	return nil
}

// position publishes where the room is, for other goroutines.
func (r *Room) position() {
	r.mu.Lock()
	r.pos, r.held, r.userCount = r.st.Position, r.fence, r.st.users
	r.haveOrphans, r.pendingMedia = len(r.orphans) > 0, len(r.stranded) > 0
	for _, m := range r.media {
		r.pendingMedia = r.pendingMedia || !m.announced
	}
	r.mu.Unlock()
}

// remember keeps a change for members that return.
func (r *Room) remember(ch *Change, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, entry{seq: ch.Seq, time: ch.Time, data: data})
	r.logBytes += len(data)
	r.trimLocked(0)
}

// trimLocked forgets what is too much or older than before (ms).
func (r *Room) trimLocked(before int64) {
	n := 0
	for n < len(r.log) && (len(r.log)-n > maxLog || r.logBytes > maxLogBytes || r.log[n].time < before) {
		r.logBytes -= len(r.log[n].data)
		n++
	}
	if n > 0 {
		r.log = append([]entry(nil), r.log[n:]...)
	}
}

func (r *Room) forgetLog() {
	r.mu.Lock()
	r.log, r.logBytes = nil, 0
	r.mu.Unlock()
}

// since returns the changes after seq, oldest first; false: no longer known here.
func (r *Room) since(seq int64) ([]*Change, bool) {
	if seq == r.st.Seq {
		return nil, true
	}
	r.mu.Lock()
	log := r.log // entries are never changed in place
	r.mu.Unlock()
	if seq > r.st.Seq || len(log) == 0 || log[0].seq > seq+1 {
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

// storeTime is how long one step at the store may take.
func (s *Service) storeTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, s.cfg.StoreTimeout)
}
