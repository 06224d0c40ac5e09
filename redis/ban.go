package redis

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/auth"
)

const (
	maxBans      = 100_000 // and as many revocations
	maxUntold    = 10_000  // entries made while Redis was away
	banOperation = 2 * time.Second
	banPause     = 250 * time.Millisecond // after a failure, before Redis is asked again
)

var (
	//go:embed lua/ban.lua
	banLua string
	//go:embed lua/banread.lua
	banReadLua string
	//go:embed lua/bankeep.lua
	banKeepLua string

	banScript     = goredis.NewScript(banLua)
	banReadScript = goredis.NewScript(banReadLua)
	banKeepScript = goredis.NewScript(banKeepLua)
)

// errNoBans is the answer of a node that has never reached its Redis: nobody can say
// who is banned.
var errNoBans = errors.New("bans are not known yet: redis has not been reached since the start")

// Bans is the [auth.Store] of many nodes. Each node answers from its own copy, an
// [auth.Memory], which follows Redis by messages and, should one be lost, by asking for
// the latest change. What is forbidden while Redis is away is in force on this node and told to
// the others when it is back; what Redis has lost it is told again.
//
// Entries have stamps: of two for one key the higher holds, whoever brings it. Their end is
// counted by each node from when it heard of them, and by Redis's clock there: no node's
// clock ends another's ban.
type Bans struct {
	client *Client
	node   string       // of this copy, in messages
	table  *auth.Memory // the copy: what is in force
	spent  *auth.Memory
	loaded atomic.Bool // the table is one
	ctx    context.Context
	stop   context.CancelFunc
	wait   sync.WaitGroup

	writing sync.Mutex // one write at a time

	// guarded by mu, with what is put into the table
	mu      sync.Mutex
	at      change
	top     int64 // highest stamp seen
	records map[auth.Key]record
	pruneAt int                   // records to have before those that are over are looked for
	untold  map[auth.Key]struct{} // records that Redis does not have
	away    time.Time             // since when Redis does not take any
}

// change names the latest change of the list that a copy has: stamps alone may be the
// same in two histories, after a Redis has lost some.
type change struct {
	n  int64
	id string
}

// record is an entry with what the copy must know of it after its end.
type record struct {
	auth.Entry
	keep  time.Time // until when; see ban.lua
	stamp int64
}

// ban is an entry as Redis keeps it.
type ban struct {
	Kind     auth.Kind      `json:"k"`
	App      string         `json:"a,omitempty"`
	Value    string         `json:"v"`
	Deny     auth.Privilege `json:"d,omitempty"`
	Reason   string         `json:"r,omitempty"`
	Sequence int64          `json:"s,omitempty"`
}

var _ auth.Store = (*Bans)(nil)

// Bans opens the list of what is forbidden in this Redis. It tries to read it, for 2 s at most; a
// Redis that is away is read when it is there, and until then every Check fails. Close
// ends it.
func (r *Client) Bans() *Bans {
	b := &Bans{
		client: r, node: auth.NewID(), table: auth.NewMemory(maxBans), spent: auth.NewMemory(maxBans),
		records: map[auth.Key]record{}, untold: map[auth.Key]struct{}{},
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	first, cancel := context.WithTimeout(b.ctx, banOperation)
	defer cancel()
	_ = b.load(first) // or later
	r.bans.Store(b)
	b.wait.Add(1)
	go b.follow()
	return b
}

// Close ends the following of Redis, and every Watch.
func (b *Bans) Close() error {
	b.stop()
	b.wait.Wait()
	return nil
}

func (b *Bans) keys() []string {
	tag := "{" + b.client.prefix + ":bans}"
	return []string{tag + ":list", tag + ":change"}
}

func (b *Bans) channel() string { return b.client.prefix + ":bans" }

// Ban implements [auth.Store].
func (b *Bans) Ban(ctx context.Context, e auth.Entry) error {
	e, err := e.Canonical()
	if err != nil {
		return err
	}
	return b.put(ctx, e)
}

// Lift implements [auth.Store].
func (b *Bans) Lift(ctx context.Context, key auth.Key) error {
	key, err := auth.NewKey(key.Kind, key.App, key.Value)
	if err != nil {
		return err
	}
	if !b.loaded.Load() {
		return errNoBans
	}
	return b.put(ctx, auth.Entry{Key: key})
}

// put has an entry in force here at once, and tells Redis as soon as it can. An entry
// without an end lifts what there is.
func (b *Bans) put(ctx context.Context, e auth.Entry) error {
	b.mu.Lock()
	old, known := b.records[e.Key]
	lift := e.Until.IsZero()
	var err error
	switch {
	case lift && !known:
		b.mu.Unlock()
		return nil
	case len(b.untold) >= maxUntold:
		err = fmt.Errorf("ban: redis has been away for too long: %w", auth.ErrFull)
	case lift:
		e, e.Until = old.Entry, time.Now()
		err = b.table.Lift(ctx, e.Key)
	default:
		e.Until = time.Now().Add(time.Until(e.Until)) // by a clock that nobody sets
		err = b.table.Ban(ctx, e)
	}
	if err != nil {
		b.mu.Unlock()
		return err
	}
	b.recordLocked(record{Entry: e, keep: later(e.Until, old.keep), stamp: old.stamp})
	b.untold[e.Key] = struct{}{}
	pause := time.Since(b.away) < banPause
	b.mu.Unlock()
	if pause {
		return nil // it is told when Redis is back
	}
	err = b.tell(ctx, e.Key)
	if errors.Is(err, auth.ErrFull) {
		return err
	}
	return nil // or told when Redis is back
}

// recordLocked remembers an entry; what nobody needs any more makes room.
func (b *Bans) recordLocked(rec record) {
	if len(b.records) >= b.pruneAt {
		for key, r := range b.records {
			if _, untold := b.untold[key]; !untold && left(r.keep) == 0 {
				delete(b.records, key)
			}
		}
		b.pruneAt = max(1024, 2*len(b.records))
	}
	b.records[rec.Key] = rec
}

// tell writes an entry that Redis does not have.
func (b *Bans) tell(ctx context.Context, key auth.Key) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	rec := b.records[key] // perhaps another one by now
	_, untold := b.untold[key]
	top := b.top
	b.mu.Unlock()
	if !untold {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, banOperation)
	defer cancel()
	stamp, err := b.write(ctx, rec, top)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.records[key]
	b.top = max(b.top, stamp)
	switch {
	case err != nil && !errors.Is(err, auth.ErrFull):
		b.away = time.Now()
	case now.stamp != rec.stamp || now.Entry != rec.Entry: // another one: it is told next
	case err != nil:
		delete(b.records, key)
		delete(b.untold, key)
		_ = b.table.Lift(ctx, key)
	default:
		now.stamp = stamp
		b.records[key], b.away = now, time.Time{}
		delete(b.untold, key)
	}
	return err
}

func (b *Bans) write(ctx context.Context, rec record, top int64) (stamp int64, err error) {
	data, err := rec.json()
	if err != nil {
		return 0, err
	}
	for try := 0; ; try++ {
		stamp, err = banScript.Run(ctx, b.client.conn(ctx), b.keys(), rec.Key.String(), data, left(rec.Until), left(rec.keep), max(top, rec.stamp),
			2*maxBans, b.channel(), b.node, auth.NewID()).Int64()
		if err != nil || stamp >= 0 {
			return stamp, err
		}
		if try > 0 {
			return 0, auth.ErrFull
		}
		if err := b.tidy(ctx); err != nil {
			return 0, err
		}
	}
}

// json is the entry as Redis keeps it, without its times.
func (r record) json() ([]byte, error) {
	return json.Marshal(ban{r.Kind, r.App, r.Value, r.Deny, r.Reason, r.Sequence})
}

func left(t time.Time) int64 { return max(0, time.Until(t).Milliseconds()) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Check implements [auth.Store]. It never waits.
func (b *Bans) Check(ctx context.Context, s auth.Subject, p auth.Privilege) (auth.Entry, bool, error) {
	if !b.loaded.Load() {
		return auth.Entry{}, false, errNoBans
	}
	return b.table.Check(ctx, s, p)
}

// Find implements [auth.Store].
func (b *Bans) Find(ctx context.Context, key auth.Key) (auth.Entry, bool, error) {
	if !b.loaded.Load() {
		return auth.Entry{}, false, errNoBans
	}
	return b.table.Find(ctx, key)
}

// List implements [auth.Store]; the longest-lasting come first.
func (b *Bans) List(ctx context.Context, limit int) ([]auth.Entry, error) {
	if !b.loaded.Load() {
		return nil, errNoBans
	}
	return b.table.List(ctx, limit)
}

// Spend implements [auth.Store]. Without Redis each node knows what was spent here.
func (b *Bans) Spend(ctx context.Context, once string, until time.Time) (bool, error) {
	if fresh, err := b.spent.Spend(ctx, once, until); !fresh || err != nil {
		return fresh, err
	}
	sum := sha256.Sum256([]byte(once)) // it may be long, and hold anything
	key := "{" + b.client.prefix + ":once:" + base64.RawURLEncoding.EncodeToString(sum[:]) + "}"
	ctx, cancel := context.WithTimeout(ctx, banOperation)
	defer cancel()
	fresh, err := b.client.conn(ctx).SetNX(ctx, key, 1, max(time.Until(until), time.Millisecond)).Result()
	return fresh || err != nil, nil
}

// Watch implements [auth.Store]. It ends with Close, too.
func (b *Bans) Watch(ctx context.Context, fn func(auth.Entry)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	return b.table.Watch(ctx, fn)
}
