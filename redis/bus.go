package redis

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"liverelay/room"
)

const messageMark = "!" // begins a transient message; a notice begins with "{"

// Bus is one node's end of the bus: a channel per room that the node has in use.
// Publishing is the scripts' part.
type Bus struct {
	client *Client

	// guarded by mu
	mu     sync.Mutex
	feed   *feed // nil: not started
	handle func(room.Key, room.Notice)
	keys   map[string]room.Key // wanted, by channel
}

var _ room.Bus = (*Bus)(nil)

// Bus makes a node's end of the bus.
func (r *Client) Bus() *Bus { return &Bus{client: r, keys: map[string]room.Key{}} }

// Start implements [room.Bus].
func (b *Bus) Start(handle func(room.Key, room.Notice)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = handle
	b.feed = b.client.newFeed(
		func(channel, payload string) { b.deliver(channel, parseNotice(payload)) },
		func(channel string) { b.deliver(channel, room.Notice{Kind: room.NoticeResync}) },
		slices.Collect(maps.Keys(b.keys))...)
}

// Subscribe implements [room.Bus].
func (b *Bus) Subscribe(key room.Key) { b.want(key, true) }

// Unsubscribe implements [room.Bus].
func (b *Bus) Unsubscribe(key room.Key) { b.want(key, false) }

func (b *Bus) want(key room.Key, yes bool) {
	channel := b.client.channel(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	if yes {
		b.keys[channel] = key
	} else {
		delete(b.keys, channel)
	}
	if b.feed != nil {
		b.feed.want(channel, yes)
	}
}

func (b *Bus) deliver(channel string, n room.Notice) {
	b.mu.Lock()
	key, ok := b.keys[channel]
	handle := b.handle
	b.mu.Unlock()
	if ok {
		handle(key, n)
	}
}

// parseNotice reads a notice. What it cannot read is a reason to read the room again.
func parseNotice(payload string) room.Notice {
	if rest, ok := strings.CutPrefix(payload, messageMark); ok {
		return room.Notice{Kind: room.NoticeMessage, Payload: []byte(rest)}
	}
	line, rest, _ := strings.Cut(payload, "\n")
	var h noticeHead
	if json.Unmarshal([]byte(line), &h) != nil {
		return room.Notice{Kind: room.NoticeResync}
	}
	n := room.Notice{
		Kind: room.NoticeCommit, Incarnation: h.Incarnation, Before: h.Before, Seq: h.Seq, Commit: h.Commit, Dropped: h.Dropped,
	}
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\n")
		n.Records = append(n.Records, []byte(line))
	}
	return n
}

// Send implements [room.Bus].
func (b *Bus) Send(ctx context.Context, key room.Key, payload []byte) error {
	return b.client.conn(ctx).Publish(ctx, b.client.channel(key), messageMark+string(payload)).Err()
}

// Close implements [room.Bus].
func (b *Bus) Close() error {
	b.mu.Lock()
	f := b.feed
	b.mu.Unlock()
	if f != nil {
		f.close()
	}
	return nil
}
