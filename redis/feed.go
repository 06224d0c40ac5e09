package redis

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/auth"
)

const (
	feedPage  = 500                    // channels per SUBSCRIBE
	feedQueue = 4096                   // messages that wait to be heard
	feedRetry = 200 * time.Millisecond // after a failed SUBSCRIBE
	feedTime  = 2 * time.Second        // for one SUBSCRIBE
	beatEvery = 500 * time.Millisecond
	beatLost  = 2 * time.Second // not heard for so long: deaf
	beatTries = 2               // in a Cluster each goes by another node
)

// feed hears what is published on some channels. A subscription dies without a word
// when its server hangs or has been replaced: so the feed publishes a beat of its own
// over the ordinary connections, and subscribes anew when it does not hear it. Whatever
// is lost until then is the listener's affair: it is told of each channel that is
// heard from now on, and reads again.
type feed struct {
	client     *Client
	heard      func(channel, payload string) // static
	subscribed func(channel string)          // static: what was published before may be lost
	beat       string                        // static: the feed's own channel
	ctx        context.Context
	stop       context.CancelFunc
	wait       sync.WaitGroup
	wake       chan struct{} // capacity 1

	// guarded by mu
	mu      sync.Mutex
	wanted  map[string]struct{}
	changed map[string]struct{} // to subscribe to or to leave
}

// newFeed starts one; close ends it. Both functions are called by one goroutine.
func (r *Client) newFeed(heard func(channel, payload string), subscribed func(channel string), channels ...string) *feed {
	f := &feed{
		client: r, heard: heard, subscribed: subscribed, beat: r.prefix + ":beat:" + auth.NewID(),
		wake: make(chan struct{}, 1), wanted: map[string]struct{}{}, changed: map[string]struct{}{},
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	for _, channel := range append(channels, f.beat) {
		f.want(channel, true)
	}
	f.wait.Go(f.run)
	f.wait.Go(f.publish)
	return f
}

func (f *feed) close() {
	f.stop()
	f.wait.Wait()
}

// want adds a channel, or takes it away.
func (f *feed) want(channel string, yes bool) {
	f.mu.Lock()
	if yes {
		f.wanted[channel] = struct{}{}
	} else {
		delete(f.wanted, channel)
	}
	f.changed[channel] = struct{}{}
	f.mu.Unlock()
	f.again()
}

// publish sends the beat.
func (f *feed) publish() {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		var err error
		for range beatTries {
			ctx, cancel := context.WithTimeout(f.ctx, beatEvery)
			err = f.client.conn(ctx).Publish(ctx, f.beat, "").Err()
			cancel()
			if err == nil {
				break
			}
		}
		f.client.health.note(err)
		select {
		case <-f.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// run listens, and begins again when it has gone deaf.
func (f *feed) run() {
	for f.ctx.Err() == nil {
		f.listen()
		f.mu.Lock()
		for channel := range f.wanted {
			f.changed[channel] = struct{}{}
		}
		f.mu.Unlock()
		f.again()
	}
}

// again has listen subscribe.
func (f *feed) again() {
	select {
	case f.wake <- struct{}{}:
	default: // it will
	}
}

// listen hears what comes until the beat stays away.
func (f *feed) listen() {
	ctx, cancel := context.WithTimeout(f.ctx, feedTime)
	ps := f.client.conn(ctx).Subscribe(f.ctx)
	cancel()
	f.subscribe(ps)
	events := ps.ChannelWithSubscriptions(goredis.WithChannelSize(feedQueue), goredis.WithChannelHealthCheckInterval(0))
	// It may be busy with a server that hangs: nobody waits for that but close.
	defer f.wait.Go(func() {
		_ = ps.Close()
		drain(events)
	})
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.wake:
			f.subscribe(ps)
		case <-ticker.C:
			if time.Since(last) > beatLost && len(events) == 0 { // else it is in the queue, perhaps
				return
			}
			f.subscribe(ps)
		case ev, ok := <-events:
			if !ok {
				return
			}
			switch ev := ev.(type) {
			case *goredis.Subscription:
				if ev.Kind == "subscribe" && ev.Channel != f.beat {
					f.subscribed(ev.Channel)
				}
			case *goredis.Message:
				if ev.Channel == f.beat {
					last = time.Now()
				} else {
					f.heard(ev.Channel, ev.Payload)
				}
			}
		}
	}
}

// subscribe tells Redis of a page of changes, and comes again while there are more.
func (f *feed) subscribe(ps *goredis.PubSub) {
	var join, leave []string
	f.mu.Lock()
	for channel := range f.changed {
		if len(join) == feedPage || len(leave) == feedPage {
			break
		}
		delete(f.changed, channel)
		if _, yes := f.wanted[channel]; yes {
			join = append(join, channel)
		} else {
			leave = append(leave, channel)
		}
	}
	more := len(f.changed) > 0
	f.mu.Unlock()
	if len(join)+len(leave) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(f.ctx, feedTime)
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
		case <-f.ctx.Done():
		case <-time.After(feedRetry):
		}
	}
	if more {
		f.again()
	}
}

// drain takes what is left of a closed subscription: the client's goroutine would wait
// for a minute for somebody to take it.
func drain(events <-chan any) {
	for range events {
	}
}
