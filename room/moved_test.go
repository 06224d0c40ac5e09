package room_test

import (
	"sync/atomic"
	"testing"
	"time"

	"liverelay/room"
	"liverelay/room/roomtest"
)

// TestMovedStreamStays: a publisher that goes on at another node has ended here before the room
// hears of it there. Nobody is told of an end, unless the other node never announces it.
func TestMovedStreamStays(t *testing.T) {
	const grace = 10 * time.Second
	for _, announced := range []bool{true, false} {
		var ahead atomic.Int64
		store := room.NewMemory()
		var nodes [2]*roomtest.Node
		for i := range nodes {
			nodes[i] = startAt(t, store, store, func(c *roomtest.Config) {
				c.Node = "node" + string(rune('1'+i))
				c.Tick, c.MediaGrace, c.Signal.Heartbeat = 5*time.Millisecond, grace, time.Hour
				c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			})
		}
		old, next := nodes[0], nodes[1]
		ann, bob := login(t, old, "ann"), login(t, old, "bob")
		obs := func(epoch uint64) room.StreamEvent { // a device: its user is there by it alone
			return room.StreamEvent{App: roomtest.AppName, Stream: "obs", User: "studio", Room: "r1", Epoch: epoch, Reason: room.ReasonLost}
		}
		must(t, ann, "publish", M{"stream": "a"})
		for _, ev := range []room.StreamEvent{stream("ann", "a", 1), obs(1)} {
			old.Service.StreamPublished(ev)
			event(t, bob, "streamUpdate", update("ADD", ev.Stream))
			ev.Reason, ev.Moved = room.ReasonLost, true
			old.Service.StreamEnded(ev)
		}
		must(t, bob, "broadcast", M{"message": "a step of the room"})
		if !announced {
			ahead.Add(int64(grace + time.Second))
			for _, id := range []string{"a", "obs"} {
				if f := event(t, bob, "streamUpdate", update("DELETE", id)); f.Reasons[0].Code != int(room.ReasonLost) {
					t.Errorf("reason %d, want %d", f.Reasons[0].Code, room.ReasonLost)
				}
			}
			event(t, bob, "userUpdate", update("DELETE", "studio"))
			continue
		}
		next.Service.StreamPublished(stream("ann", "a", 2))
		next.Service.StreamPublished(obs(2))
		publishing(t, ann, 2)
		ahead.Add(int64(grace + time.Second))
		must(t, bob, "broadcast", M{"message": "a step of the room"})
		for _, f := range bob.Events() {
			if f.Update == "DELETE" {
				t.Errorf("bob hears %+v", f)
			}
		}
		ended := stream("ann", "a", 2)
		ended.Reason = room.ReasonStopped
		next.Service.StreamEnded(ended)
		event(t, bob, "streamUpdate", update("DELETE", "a"))
	}
}
