package cluster

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"liverelay/room"
)

const (
	busPage     = 500                    // channels per SUBSCRIBE
	busCheck    = 2 * time.Second        // quiet for so long: ask whether the connection lives
	busRetry    = 200 * time.Millisecond // after a failed SUBSCRIBE
	messageMark = "!"                    // begins a transient message; a notice begins with "{"
)

// RedisBus is one node's end of the bus: one connection with a channel per room that
// the node has in use. Publishing is the scripts' part.
type RedisBus struct {
	redis *Redis
	ctx   context.Context
	stop  context.CancelFunc
	wait  sync.WaitGroup
	wake  chan struct{} // capacity 1

	mu      sync.Mutex
	handle  func(room.Key, room.Notice)
	keys    map[string]room.Key // wanted, by channel
	changed map[string]struct{} // channels to subscribe to or to leave
}

var _ room.Bus = (*RedisBus)(nil)

// Bus makes a node's end of the bus.
func (r *Redis) Bus() *RedisBus {
	b := &RedisBus{redis: r, wake: make(chan struct{}, 1), keys: map[string]room.Key{}, changed: map[string]struct{}{}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	return b
}

// Start implements [room.Bus].
func (b *RedisBus) Start(handle func(room.Key, room.Notice)) {
	b.mu.Lock()
	b.handle = handle
	b.mu.Unlock()
	ps := b.redis.client.Subscribe(b.ctx)
	b.wait.Add(2)
	go b.subscribe(ps)
	go b.receive(ps)
}

// Subscribe implements [room.Bus].
func (b *RedisBus) Subscribe(key room.Key) { b.want(key, true) }

// Unsubscribe implements [room.Bus].
func (b *RedisBus) Unsubscribe(key room.Key) { b.want(key, false) }

func (b *RedisBus) want(key room.Key, yes bool) {
	channel := b.redis.channel(key)
	b.mu.Lock()
	if yes {
		b.keys[channel] = key
	} else {
		delete(b.keys, channel)
	}
	b.changed[channel] = struct{}{}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// subscribe keeps Redis informed of what is wanted.
func (b *RedisBus) subscribe(ps *redis.PubSub) {
	defer b.wait.Done()
	defer ps.Close()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.wake:
		}
		for b.subscribeSome(ps) {
		}
	}
}

// subscribeSome tells Redis of a page of changes; false: there are none.
func (b *RedisBus) subscribeSome(ps *redis.PubSub) bool {
	var join, leave []string
	b.mu.Lock()
	for channel := range b.changed {
		if len(join) == busPage || len(leave) == busPage {
			break
		}
		delete(b.changed, channel)
		if _, yes := b.keys[channel]; yes {
			join = append(join, channel)
		} else {
			leave = append(leave, channel)
		}
	}
	b.mu.Unlock()
	if len(join)+len(leave) == 0 || b.ctx.Err() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
	defer cancel()
	var err error
	if len(leave) > 0 {
		err = ps.Unsubscribe(ctx, leave...)
	}
	if len(join) > 0 {
		if e := ps.Subscribe(ctx, join...); e != nil {
			err = e
		}
	}
	if err != nil {
		// The client remembers what was asked for and asks again when it has a
		// connection; asking twice does no harm.
		select {
		case <-b.ctx.Done():
		case <-time.After(busRetry):
		}
	}
	return true
}

// receive brings what comes to the service.
func (b *RedisBus) receive(ps *redis.PubSub) {
	defer b.wait.Done()
	events := ps.ChannelWithSubscriptions(redis.WithChannelSize(4096), redis.WithChannelHealthCheckInterval(busCheck))
	defer drain(events) // subscribe closes ps
	for {
		var ev any
		var ok bool
		select {
		case <-b.ctx.Done():
			return
		case ev, ok = <-events:
		}
		if !ok {
			return
		}
		switch ev := ev.(type) {
		case *redis.Subscription:
			if ev.Kind == "subscribe" {
				b.deliver(ev.Channel, room.Notice{Kind: room.NoticeResync})
			}
		case *redis.Message:
			b.deliver(ev.Channel, parseNotice(ev.Payload))
		}
	}
}

// drain takes what is left of a closed subscription: the client's goroutine would wait
// for a minute for somebody to take it.
func drain(events <-chan any) {
	for range events {
	}
}

func (b *RedisBus) deliver(channel string, n room.Notice) {
	b.mu.Lock()
	key, ok := b.keys[channel]
	handle := b.handle
	b.mu.Unlock()
	if ok && handle != nil {
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
func (b *RedisBus) Send(ctx context.Context, key room.Key, payload []byte) error {
	return b.redis.client.Publish(ctx, b.redis.channel(key), messageMark+string(payload)).Err()
}

// Close implements [room.Bus].
func (b *RedisBus) Close() error {
	b.stop()
	b.wait.Wait()
	return nil
}
