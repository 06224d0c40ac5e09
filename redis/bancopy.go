package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"liverelay/auth"
)

const (
	banCheck = 500 * time.Millisecond // how often the latest change is asked for, in case a message was lost
	banPage  = 500                    // entries in one step
	banRead  = 10 * time.Second       // for all of them
)

// follow keeps the copy up to date, until b.ctx ends.
func (b *Bans) follow() {
	defer b.wait.Done()
	var turn sync.Mutex // a message must not come between what a load reads and what it takes
	f := b.client.newFeed(
		func(_, payload string) {
			turn.Lock()
			defer turn.Unlock()
			if !b.hear(payload) {
				b.compare()
			}
		},
		func(string) {
			turn.Lock()
			defer turn.Unlock()
			b.compare()
		},
		b.channel())
	defer f.close()
	tick := time.NewTicker(banCheck)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
			turn.Lock()
			b.compare()
			turn.Unlock()
		}
	}
}

// compare reads everything when there is a change that the copy does not have, or has alone.
func (b *Bans) compare() {
	ctx, cancel := context.WithTimeout(b.ctx, banOperation)
	defer cancel()
	_, at, err := b.latest(ctx)
	if err != nil {
		return
	}
	b.mu.Lock()
	same := b.loaded.Load() && b.at == at && len(b.untold) == 0
	b.mu.Unlock()
	if !same {
		_ = b.load(b.ctx) // or with the next tick
	}
}

// latest asks for the latest change, and Redis's time.
func (b *Bans) latest(ctx context.Context) (now int64, at change, err error) {
	reply, err := banReadScript.Run(ctx, b.client.conn(ctx), b.keys()[1:]).Slice()
	if err != nil {
		return 0, change{}, fmt.Errorf("read bans: %w", err)
	}
	if len(reply) != 3 {
		return 0, change{}, fmt.Errorf("read bans: reply of %d parts", len(reply))
	}
	return number(reply[0]), change{number(reply[1]), text(reply[2])}, nil
}

// load tells Redis what it does not have, and takes what it has. One at a time: it is
// called before follow and by it.
func (b *Bans) load(ctx context.Context) error {
	b.mu.Lock()
	untold := make([]auth.Key, 0, len(b.untold))
	for key := range b.untold {
		untold = append(untold, key)
	}
	b.mu.Unlock()
	for _, key := range untold {
		if err := b.tell(ctx, key); err != nil && !errors.Is(err, auth.ErrFull) {
			return err
		}
	}
	view, err := b.read(ctx)
	if err != nil {
		return err
	}
	return b.keep(ctx, b.merge(ctx, view))
}

// banView is the list as Redis has it.
type banView struct {
	at      change
	records map[auth.Key]record
	over    []string // fields that nobody needs any more
}

// read takes the list by pages: what is changed meanwhile is newer than view.at, and is
// heard of again.
func (b *Bans) read(ctx context.Context) (banView, error) {
	ctx, cancel := context.WithTimeout(ctx, banRead)
	defer cancel()
	v := banView{records: map[auth.Key]record{}}
	now, at, err := b.latest(ctx)
	if err != nil {
		return v, err
	}
	v.at = at
	here := time.Now() // which is now
	fields, err := b.client.hash(ctx, b.keys()[0])
	if err != nil {
		return v, fmt.Errorf("read bans: %w", err)
	}
	for field, value := range fields {
		rec, ok := parseRecord(value, now, here)
		if !ok || left(rec.keep) == 0 {
			v.over = append(v.over, field)
			continue
		}
		v.records[rec.Key] = rec
	}
	return v, nil
}

// parseRecord reads an entry. Redis's time now was here's at this node.
func parseRecord(value string, now int64, here time.Time) (record, bool) {
	part := strings.SplitN(value, " ", 4)
	if len(part) != 4 {
		return record{}, false
	}
	var times [3]int64
	for i := range times {
		n, err := strconv.ParseInt(part[i], 10, 64)
		if err != nil {
			return record{}, false
		}
		times[i] = n
	}
	var v ban
	if json.Unmarshal([]byte(part[3]), &v) != nil {
		return record{}, false
	}
	key, err := auth.NewKey(v.Kind, v.App, v.Value)
	if err != nil {
		return record{}, false
	}
	at := func(ms int64) time.Time { return here.Add(time.Duration(ms-now) * time.Millisecond) }
	e := auth.Entry{Key: key, Until: at(times[1]), Deny: v.Deny, Reason: v.Reason, Sequence: v.Sequence}
	return record{Entry: e, keep: at(times[2]), stamp: times[0]}, true
}

// lack is what Redis should forget, and what it has lost.
type lack struct {
	over []string
	lost []record
}

// merge makes the copy what the two have together. It returns what Redis lacks.
func (b *Bans) merge(ctx context.Context, v banView) lack {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := lack{over: v.over}
	for key, have := range b.records {
		_, untold := b.untold[key]
		switch theirs, ok := v.records[key]; {
		case untold: // it is told next
		case left(have.keep) == 0:
			delete(b.records, key)
		case !ok || theirs.stamp < have.stamp:
			l.lost = append(l.lost, have)
		}
	}
	b.at = v.at
	for _, rec := range v.records {
		b.applyLocked(ctx, rec)
	}
	b.loaded.Store(true)
	return l
}

// applyLocked puts an entry of Redis into the copy, if it is newer than what is there.
func (b *Bans) applyLocked(ctx context.Context, rec record) {
	b.top = max(b.top, rec.stamp)
	have, known := b.records[rec.Key]
	if known && have.stamp >= rec.stamp {
		return
	}
	if _, untold := b.untold[rec.Key]; untold {
		b.at = change{} // ours is on its way: read again what came of the two
		return
	}
	b.recordLocked(rec)
	if b.table.Ban(ctx, rec.Entry) != nil { // over
		_ = b.table.Lift(ctx, rec.Key)
	}
}

// keep has Redis forget what is over, by its own clock, and gives it what it has lost.
func (b *Bans) keep(ctx context.Context, l lack) error {
	for len(l.over)+len(l.lost) > 0 {
		over, lost := l.over[:min(len(l.over), banPage)], l.lost[:min(len(l.lost), banPage)]
		l.over, l.lost = l.over[len(over):], l.lost[len(lost):]
		args := []any{b.channel(), auth.NewID(), len(over)}
		for _, field := range over {
			args = append(args, field)
		}
		for _, rec := range lost {
			data, err := rec.json()
			if err != nil {
				return err
			}
			args = append(args, rec.Key.String(), rec.stamp, left(rec.Until), left(rec.keep), data)
		}
		if err := b.step(ctx, args); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bans) step(ctx context.Context, args []any) error {
	ctx, cancel := context.WithTimeout(ctx, banOperation)
	defer cancel()
	return banKeepScript.Run(ctx, b.client.conn(ctx), b.keys(), args...).Err()
}

// tidy makes room in Redis.
func (b *Bans) tidy(ctx context.Context) error {
	v, err := b.read(ctx)
	if err != nil {
		return err
	}
	return b.keep(ctx, lack{over: v.over})
}

// hear takes a message of another node, or this one:
//
//	<change before> <change> <node> <ms now>\n<value>
//
// It returns false for one that does not follow what the copy has.
func (b *Bans) hear(payload string) bool {
	head, value, _ := strings.Cut(payload, "\n")
	part := strings.Split(head, " ")
	if len(part) != 4 {
		return false
	}
	now, err := strconv.ParseInt(part[3], 10, 64)
	rec, ok := parseRecord(value, now, time.Now())
	if err != nil || !ok {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.loaded.Load() || part[0] != b.at.id && (part[0] != "-" || b.at.id != "") {
		return false
	}
	b.at = change{rec.stamp, part[1]}
	if part[2] != b.node { // it was in force here before it was told
		b.applyLocked(b.ctx, rec)
	}
	return true
}
