package cluster

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"liverelay/auth"
)

const (
	maxBans      = 100_000
	maxUntold    = 10_000          // bans made while Redis was away
	banCheck     = 3 * time.Second // how often the counter is compared, in case a message was lost
	banQueue     = 256             // of a watcher
	banReason    = 256
	banOperation = 2 * time.Second
)

//go:embed lua/ban.lua
var banLua string

var banScript = redis.NewScript(banLua)

// Bans is the [auth.Store] of many nodes. Each node answers from its own copy, which
// follows Redis by messages and, should one be lost, by a counter. A ban made while
// Redis is away is in force on this node and told to the others when it is back.
type Bans struct {
	redis *Redis
	node  string // of this copy, in messages
	ctx   context.Context
	stop  context.CancelFunc
	wait  sync.WaitGroup

	loading  sync.Mutex // one load at a time
	mu       sync.Mutex
	loaded   bool
	at       standing
	entries  map[auth.Key]auth.Entry
	untold   map[auth.Key]auth.Entry // zero Until: lifted
	watchers map[*banWatcher]struct{}
}

type banWatcher struct {
	queue  chan auth.Entry
	resync chan struct{} // capacity 1
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

// Bans opens the store of bans in this Redis. Close ends it.
func (r *Redis) Bans() *Bans {
	b := &Bans{
		redis: r, node: auth.NewID(), entries: map[auth.Key]auth.Entry{}, untold: map[auth.Key]auth.Entry{}, watchers: map[*banWatcher]struct{}{},
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
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

// follow keeps the copy up to date.
func (b *Bans) follow() {
	defer b.wait.Done()
	ps := b.redis.client.Subscribe(b.ctx, b.channel())
	defer ps.Close()
	events := ps.ChannelWithSubscriptions(redis.WithChannelSize(1024), redis.WithChannelHealthCheckInterval(busCheck))
	tick := time.NewTicker(banCheck)
	defer tick.Stop()
	_ = b.load(b.ctx) // or at the next tick
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
			b.compare()
		case ev, ok := <-events:
			if !ok {
				return
			}
			switch ev := ev.(type) {
			case *redis.Subscription:
				if b.load(b.ctx) == nil {
					b.tell(auth.Entry{Key: auth.Key{Kind: auth.KindResync}})
				}
			case *redis.Message:
				b.hear(ev.Payload)
			}
		}
	}
}

// standing is how far Redis is: the counter, and the id that it was made with.
type standing struct {
	n  int64
	id string
}

func (b *Bans) standing(ctx context.Context) (standing, error) {
	v, err := b.redis.client.HMGet(ctx, b.keys()[1], "n", "id").Result()
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
	same := b.loaded && at == b.at && len(b.untold) == 0
	b.mu.Unlock()
	if !same && b.load(ctx) == nil {
		b.tell(auth.Entry{Key: auth.Key{Kind: auth.KindResync}})
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
	all, err := b.redis.client.HGetAll(ctx, b.keys()[0]).Result()
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
		_ = b.redis.client.HDel(ctx, b.keys()[0], page[:min(len(page), 500)]...).Err() // or another time
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, e := range b.untold { // made meanwhile
		if e.Until.IsZero() {
			delete(entries, key)
		} else {
			entries[key] = e
		}
	}
	b.entries, b.at, b.loaded = entries, at, true
	return nil
}

// restore gives a Redis that has lost bans what this node knows of them.
func (b *Bans) restore(ctx context.Context) error {
	b.mu.Lock()
	known, loaded := b.at, b.loaded
	b.mu.Unlock()
	at, err := b.standing(ctx)
	if err != nil || !loaded || at.id == known.id && at.n >= known.n {
		return err
	}
	now := time.Now()
	var fields []any
	b.mu.Lock()
	for key, e := range b.entries {
		if e.Until.After(now) {
			if data, err := marshalBan(e); err == nil {
				fields = append(fields, key.String(), data)
			}
		}
	}
	b.mu.Unlock()
	for page := fields; len(page) > 0; page = page[min(len(page), 1000):] {
		if err := b.redis.client.HSet(ctx, b.keys()[0], page[:min(len(page), 1000)]...).Err(); err != nil {
			return err
		}
	}
	if err := b.redis.client.HSetNX(ctx, b.keys()[1], "id", auth.NewID()).Err(); err != nil {
		return err
	}
	// The others see the counter move, and load.
	return b.redis.client.HIncrBy(ctx, b.keys()[1], "n", max(0, known.n-at.n)+1).Err()
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
	b.at.n = n
	if node == b.node { // it was in force here before it was told
		b.mu.Unlock()
		return
	}
	e, ok := parseBan(value)
	fresh := ok && b.entries[e.Key] != e
	if ok {
		b.entries[e.Key] = e
	} else {
		for key := range b.entries {
			if key.String() == field {
				delete(b.entries, key)
				break
			}
		}
	}
	b.mu.Unlock()
	if fresh {
		b.tell(e)
	}
}

// tell brings an entry to the watchers.
func (b *Bans) tell(e auth.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.watchers {
		select {
		case w.queue <- e:
		default:
			select {
			case w.resync <- struct{}{}:
			default:
			}
		}
	}
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
	n, err := banScript.Run(ctx, b.redis.client, b.keys(), e.Key.String(), value, maxBans, b.channel(), b.node, auth.NewID()).Int64()
	if err != nil {
		return err
	}
	if n < 0 {
		return auth.ErrFull
	}
	return nil
}

// put has an entry in force here at once, and everywhere as soon as Redis takes it.
func (b *Bans) put(ctx context.Context, e auth.Entry) error {
	b.mu.Lock()
	if len(b.untold) >= maxUntold {
		b.mu.Unlock()
		return fmt.Errorf("ban: redis has been away for too long: %w", auth.ErrFull)
	}
	if e.Until.IsZero() {
		delete(b.entries, e.Key)
	} else {
		b.entries[e.Key] = e
	}
	b.untold[e.Key] = e
	b.mu.Unlock()
	if !e.Until.IsZero() {
		b.tell(e)
	}
	ctx, cancel := context.WithTimeout(ctx, banOperation)
	defer cancel()
	err := b.write(ctx, e)
	if err != nil && !errors.Is(err, auth.ErrFull) {
		return nil // it is told when Redis is back
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.untold[e.Key] == e {
		delete(b.untold, e.Key)
	}
	if err != nil && b.entries[e.Key] == e {
		delete(b.entries, e.Key)
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
	if len(reason) > banReason {
		reason = strings.ToValidUTF8(reason[:banReason], "")
	}
	if !until.After(time.Now()) {
		return errors.New("ban: its end must be in the future")
	}
	return b.put(ctx, auth.Entry{Key: key, Until: time.UnixMilli(until.UnixMilli()), Reason: reason})
}

// Lift implements [auth.Store].
func (b *Bans) Lift(ctx context.Context, key auth.Key) error {
	key, err := auth.NewKey(key.Kind, key.App, key.Value)
	if err != nil {
		return err
	}
	return b.put(ctx, auth.Entry{Key: key})
}

// have makes sure that there is a copy; the first time it may take a moment.
func (b *Bans) have(ctx context.Context) error {
	b.mu.Lock()
	loaded := b.loaded
	b.mu.Unlock()
	if loaded {
		return nil
	}
	if err := b.load(ctx); err != nil {
		return fmt.Errorf("bans are not known yet: %w", err)
	}
	return nil
}

// Check implements [auth.Store].
func (b *Bans) Check(ctx context.Context, keys ...auth.Key) (auth.Entry, bool, error) {
	if err := b.have(ctx); err != nil {
		return auth.Entry{}, false, err
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range keys {
		if e, ok := b.entries[k]; ok && e.Until.After(now) {
			return e, true, nil
		}
	}
	return auth.Entry{}, false, nil
}

// List implements [auth.Store]; the longest-lasting come first.
func (b *Bans) List(ctx context.Context, limit int) ([]auth.Entry, error) {
	if err := b.have(ctx); err != nil {
		return nil, err
	}
	now := time.Now()
	b.mu.Lock()
	list := make([]auth.Entry, 0, len(b.entries))
	for _, e := range b.entries {
		if e.Until.After(now) {
			list = append(list, e)
		}
	}
	b.mu.Unlock()
	sort.Slice(list, func(i, j int) bool {
		if !list[i].Until.Equal(list[j].Until) {
			return list[i].Until.After(list[j].Until)
		}
		return list[i].Key.String() < list[j].Key.String()
	})
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, nil
}

// Watch implements [auth.Store].
func (b *Bans) Watch(ctx context.Context, fn func(auth.Entry)) error {
	w := &banWatcher{queue: make(chan auth.Entry, banQueue), resync: make(chan struct{}, 1)}
	b.mu.Lock()
	b.watchers[w] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.watchers, w)
		b.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.ctx.Done():
			return b.ctx.Err()
		case e := <-w.queue:
			fn(e)
		case <-w.resync:
			fn(auth.Entry{Key: auth.Key{Kind: auth.KindResync}})
		}
	}
}
