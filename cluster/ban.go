package cluster

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"liverelay/auth"
)

const (
	maxBans      = 100_000
	maxUntold    = 10_000                 // bans made while Redis was away
	banCheck     = 3 * time.Second        // how often the counter is compared, in case a message was lost
	banRetry     = 250 * time.Millisecond // … while nothing is known yet
	banOperation = 2 * time.Second
)

//go:embed lua/ban.lua
var banLua string

var banScript = redis.NewScript(banLua)

// errNoBans is the answer of a node that has never reached its Redis: nobody can say
// who is banned.
var errNoBans = errors.New("bans are not known yet: redis has not been reached since the start")

// Bans is the [auth.Store] of many nodes. Each node answers from its own copy, an
// [auth.Memory], which follows Redis by messages and, should one be lost, by a counter.
// A ban made while Redis is away is in force on this node and told to the others when
// it is back.
type Bans struct {
	redis  *Redis
	node   string       // of this copy, in messages
	table  *auth.Memory // the copy
	loaded atomic.Bool  // the table is one
	ctx    context.Context
	stop   context.CancelFunc
	wait   sync.WaitGroup

	loading sync.Mutex // one load or write at a time

	// guarded by mu, with what is put into the table
	mu     sync.Mutex
	at     standing
	untold map[auth.Key]auth.Entry // zero Until: lifted
}

// ban is an entry as Redis keeps it.
type ban struct {
	Kind   auth.Kind `json:"k"`
	App    string    `json:"a,omitempty"`
	Value  string    `json:"v"`
	Until  int64     `json:"u"` // unix ms
	Reason string    `json:"r,omitempty"`
}

var _ auth.Store = (*Bans)(nil)

// Bans opens the store of bans in this Redis. It tries to read them, for 2 s at most; a
// Redis that is away is read when it is there, and until then every Check fails. Close
// ends it.
func (r *Redis) Bans() *Bans {
	b := &Bans{redis: r, node: auth.NewID(), table: auth.NewMemory(maxBans), untold: map[auth.Key]auth.Entry{}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	_ = b.load(b.ctx) // or later
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
	tag := "{" + b.redis.prefix + ":bans}"
	return []string{tag + ":entries", tag + ":version"}
}

func (b *Bans) channel() string { return b.redis.prefix + ":bans" }

// follow keeps the copy up to date, until b.ctx ends.
func (b *Bans) follow() {
	defer b.wait.Done()
	var turn sync.Mutex // a message must not come between what a load reads and what it installs
	f := b.redis.newFeed(
		func(_, payload string) {
			turn.Lock()
			defer turn.Unlock()
			b.hear(payload)
		},
		func(string) {
			turn.Lock()
			defer turn.Unlock()
			_ = b.load(b.ctx) // or after the pause
		},
		b.channel())
	defer f.close()
	for {
		pause := banCheck
		if !b.loaded.Load() {
			pause = banRetry
		}
		select {
		case <-b.ctx.Done():
			return
		case <-time.After(pause):
			turn.Lock()
			b.compare()
			turn.Unlock()
		}
	}
}

// standing is how far Redis is: the counter, and the id that it was made with.
type standing struct {
	n  int64
	id string
}

func (b *Bans) standing(ctx context.Context) (standing, error) {
	v, err := b.redis.conn(ctx).HMGet(ctx, b.keys()[1], "n", "id").Result()
	if err != nil || len(v) != 2 {
		return standing{}, err
	}
	return standing{number(v[0]), text(v[1])}, nil
}

// compare loads everything when a message was lost.
func (b *Bans) compare() {
	ctx, cancel := context.WithTimeout(b.ctx, banOperation)
	defer cancel()
	at, err := b.standing(ctx)
	if err != nil {
		return
	}
	b.mu.Lock()
	same := b.loaded.Load() && at == b.at && len(b.untold) == 0
	b.mu.Unlock()
	if !same {
		_ = b.load(ctx)
	}
}

// load takes all that Redis has, after telling it what it does not know, or no more.
func (b *Bans) load(ctx context.Context) error {
	b.loading.Lock()
	defer b.loading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, banOperation)
	defer cancel()
	if err := b.restore(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	untold := make([]auth.Entry, 0, len(b.untold))
	for _, e := range b.untold {
		untold = append(untold, e)
	}
	b.mu.Unlock()
	for _, e := range untold {
		if err := b.write(ctx, e); err != nil && !errors.Is(err, auth.ErrFull) {
			return err
		}
		b.mu.Lock()
		if b.untold[e.Key] == e {
			delete(b.untold, e.Key)
		}
		b.mu.Unlock()
	}
	at, err := b.standing(ctx)
	if err != nil {
		return err
	}
	all, err := b.redis.hash(ctx, b.keys()[0])
	if err != nil {
		return err
	}
	now := time.Now()
	entries := make(map[auth.Key]auth.Entry, len(all))
	var over []string
	for field, value := range all {
		e, ok := parseBan(value)
		if !ok || !e.Until.After(now) {
			over = append(over, field)
			continue
		}
		entries[e.Key] = e
	}
	for page := over; len(page) > 0; page = page[min(len(page), 500):] {
		_ = b.redis.conn(ctx).HDel(ctx, b.keys()[0], page[:min(len(page), 500)]...).Err() // or another time
	}
	b.install(ctx, entries, at)
	return nil
}

// install makes the table equal to what Redis has. Those who watch are told of what is
// new in it.
func (b *Bans) install(ctx context.Context, entries map[auth.Key]auth.Entry, at standing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, e := range b.untold { // made meanwhile
		if e.Until.IsZero() {
			delete(entries, key)
		} else {
			entries[key] = e
		}
	}
	have, _ := b.table.List(ctx, 0)
	for _, e := range have {
		if now, ok := entries[e.Key]; !ok {
			_ = b.table.Lift(ctx, e.Key)
		} else if now == e {
			delete(entries, e.Key)
		}
	}
	for _, e := range entries {
		_ = b.table.Ban(ctx, e.Key, e.Until, e.Reason) // it may have run out
	}
	b.at = at
	b.loaded.Store(true)
}

// restore gives a Redis that has lost bans what this node knows of them.
func (b *Bans) restore(ctx context.Context) error {
	b.mu.Lock()
	known := b.at
	b.mu.Unlock()
	at, err := b.standing(ctx)
	if err != nil || !b.loaded.Load() || at.id == known.id && at.n >= known.n {
		return err
	}
	have, err := b.table.List(ctx, 0)
	if err != nil {
		return err
	}
	var fields []any
	for _, e := range have {
		if data, err := marshalBan(e); err == nil {
			fields = append(fields, e.Key.String(), data)
		}
	}
	for page := fields; len(page) > 0; page = page[min(len(page), 1000):] {
		if err := b.redis.conn(ctx).HSet(ctx, b.keys()[0], page[:min(len(page), 1000)]...).Err(); err != nil {
			return err
		}
	}
	if err := b.redis.conn(ctx).HSetNX(ctx, b.keys()[1], "id", auth.NewID()).Err(); err != nil {
		return err
	}
	// The others see the counter move, and load.
	return b.redis.conn(ctx).HIncrBy(ctx, b.keys()[1], "n", max(0, known.n-at.n)+1).Err()
}

func marshalBan(e auth.Entry) ([]byte, error) {
	return json.Marshal(ban{e.Kind, e.App, e.Value, e.Until.UnixMilli(), e.Reason})
}

func parseBan(value string) (auth.Entry, bool) {
	var v ban
	if json.Unmarshal([]byte(value), &v) != nil {
		return auth.Entry{}, false
	}
	key, err := auth.NewKey(v.Kind, v.App, v.Value)
	if err != nil {
		return auth.Entry{}, false
	}
	return auth.Entry{Key: key, Until: time.UnixMilli(v.Until), Reason: v.Reason}, true
}

// hear takes a message of another node, or this one: "<counter> <node> <field>\n<JSON or nothing>".
func (b *Bans) hear(payload string) {
	head, value, _ := strings.Cut(payload, "\n")
	counter, head, _ := strings.Cut(head, " ")
	node, field, _ := strings.Cut(head, " ")
	n, err := strconv.ParseInt(counter, 10, 64)
	if err != nil {
		return
	}
	b.mu.Lock()
	if n != b.at.n+1 {
		b.mu.Unlock()
		b.compare()
		return
	}
	defer b.mu.Unlock()
	b.at.n = n
	if node == b.node { // it was in force here before it was told
		return
	}
	if e, ok := parseBan(value); ok {
		if now, found, _ := b.table.Check(b.ctx, e.Key); !found || now != e {
			_ = b.table.Ban(b.ctx, e.Key, e.Until, e.Reason) // it may have run out
		}
	} else if key, ok := parseKey(field); ok {
		_ = b.table.Lift(b.ctx, key)
	}
}

// parseKey reads what [auth.Key.String] makes.
func parseKey(field string) (auth.Key, bool) {
	kind, rest, _ := strings.Cut(field, "/")
	app, value, _ := strings.Cut(rest, "/")
	key, err := auth.NewKey(auth.Kind(kind), app, value)
	return key, err == nil
}

// write tells Redis of an entry; a zero Until lifts it.
func (b *Bans) write(ctx context.Context, e auth.Entry) error {
	value := ""
	if !e.Until.IsZero() {
		data, err := marshalBan(e)
		if err != nil {
			return err
		}
		value = string(data)
	}
	n, err := banScript.Run(ctx, b.redis.conn(ctx), b.keys(), e.Key.String(), value, maxBans, b.channel(), b.node, auth.NewID()).Int64()
	if err != nil {
		return err
	}
	if n < 0 {
		return auth.ErrFull
	}
	return nil
}

// put does something to the table at once, and tells Redis as soon as it can.
func (b *Bans) put(ctx context.Context, key auth.Key, do func() error) error {
	b.mu.Lock()
	if len(b.untold) >= maxUntold {
		b.mu.Unlock()
		return fmt.Errorf("ban: redis has been away for too long: %w", auth.ErrFull)
	}
	if err := do(); err != nil {
		b.mu.Unlock()
		return err
	}
	e, banned, _ := b.table.Check(ctx, key)
	if !banned {
		e = auth.Entry{Key: key}
	}
	b.untold[key] = e
	b.mu.Unlock()
	// Not while a load is under way: it would take away what it has not seen in Redis.
	b.loading.Lock()
	defer b.loading.Unlock()
	b.mu.Lock()
	e, untold := b.untold[key] // perhaps another one by now
	b.mu.Unlock()
	if !untold {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, banOperation)
	defer cancel()
	err := b.write(ctx, e)
	if err != nil && !errors.Is(err, auth.ErrFull) {
		return nil // it is told when Redis is back
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.untold[key] == e {
		delete(b.untold, key)
		if err != nil {
			_ = b.table.Lift(ctx, key)
		}
	}
	return err
}

// Revoke implements [auth.Store].
func (b *Bans) Revoke(ctx context.Context, app, id string, until time.Time, reason string) error {
	key, err := auth.NewKey(auth.KindGrant, app, id)
	if err != nil {
		return err
	}
	return b.Ban(ctx, key, until, reason)
}

// Ban implements [auth.Store].
func (b *Bans) Ban(ctx context.Context, key auth.Key, until time.Time, reason string) error {
	key, err := auth.NewKey(key.Kind, key.App, key.Value)
	if err != nil {
		return err
	}
	until = time.UnixMilli(until.UnixMilli()) // as Redis has it
	return b.put(ctx, key, func() error { return b.table.Ban(ctx, key, until, reason) })
}

// Lift implements [auth.Store].
func (b *Bans) Lift(ctx context.Context, key auth.Key) error {
	key, err := auth.NewKey(key.Kind, key.App, key.Value)
	if err != nil {
		return err
	}
	return b.put(ctx, key, func() error { return b.table.Lift(ctx, key) })
}

// known makes sure that the bans are known; it may ask Redis.
func (b *Bans) known(ctx context.Context) error {
	if b.loaded.Load() {
		return nil
	}
	return b.load(ctx)
}

// Check implements [auth.Store]. It never waits.
func (b *Bans) Check(ctx context.Context, keys ...auth.Key) (auth.Entry, bool, error) {
	if !b.loaded.Load() {
		return auth.Entry{}, false, errNoBans
	}
	return b.table.Check(ctx, keys...)
}

// List implements [auth.Store]; the longest-lasting come first.
func (b *Bans) List(ctx context.Context, limit int) ([]auth.Entry, error) {
	if !b.loaded.Load() {
		return nil, errNoBans
	}
	return b.table.List(ctx, limit)
}

// Watch implements [auth.Store]. It ends with Close, too.
func (b *Bans) Watch(ctx context.Context, fn func(auth.Entry)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	return b.table.Watch(ctx, fn)
}
