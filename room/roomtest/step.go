package roomtest

import (
	"context"
	"testing"

	"liverelay/room"
	"liverelay/test/wait"
)

// Start starts one node with a memory store.
func Start(t testing.TB, tweak func(*Config)) *Node {
	t.Helper()
	mem := room.NewMemory()
	n, err := NewNode(mem, mem.Bus(), tweak)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// Within is the time that a test waits for one thing.
func Within(t testing.TB) context.Context {
	t.Helper()
	return wait.Context(t)
}

// Connect connects a client to a node.
func Connect(t testing.TB, n *Node) *Client {
	t.Helper()
	c, err := Dial(Within(t), n.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Drop)
	return c
}

// Do sends a request and returns its reply.
func Do(t testing.TB, c *Client, typ string, fields M) *Frame {
	t.Helper()
	f, err := c.Do(Within(t), typ, fields)
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	return f
}

// Must is Do for a request that is not refused.
func Must(t testing.TB, c *Client, typ string, fields M) *Frame {
	t.Helper()
	f := Do(t, c, typ, fields)
	if f.Error != nil {
		t.Fatalf("%s %v: refused: %d %s", typ, fields, f.Error.Code, f.Error.Msg)
	}
	return f
}

// Refused sends a request that must be refused with a code.
func Refused(t testing.TB, c *Client, code room.Code, typ string, fields M) {
	t.Helper()
	f := Do(t, c, typ, fields)
	if f.Error == nil || f.Error.Code != int(code) {
		t.Errorf("%s %.100v: got %+v, want code %d", typ, fields, f.Error, code)
	}
}

// Creds are the fields of a login to room r1.
func Creds(user string) M {
	return M{"appID": AppID, "room": "r1", "user": user, "token": "ok", "config": M{"userUpdate": true}}
}

// Login connects a user to room r1.
func Login(t testing.TB, n *Node, user string) *Client {
	t.Helper()
	c := Connect(t, n)
	Must(t, c, "login", Creds(user))
	return c
}

// Event waits for an event of a type that pred (nil: any) takes.
func Event(t testing.TB, c *Client, typ string, pred func(*Frame) bool) *Frame {
	t.Helper()
	f := c.Event(Within(t), typ, pred)
	if f == nil {
		t.Fatalf("no %s came", typ)
	}
	return f
}

// Update takes events about a user or stream: "ADD" or "DELETE".
func Update(kind, id string) func(*Frame) bool {
	return func(f *Frame) bool {
		if f.Update != kind {
			return false
		}
		for _, u := range f.Users {
			if u.ID == id {
				return true
			}
		}
		for _, s := range f.Streams {
			if s.ID == id {
				return true
			}
		}
		return false
	}
}

// Published is the media path's event of a member's stream.
func Published(user, id string, epoch uint64) room.StreamEvent {
	return room.StreamEvent{App: AppName, Stream: id, User: user, Room: "r1", Session: "s", Epoch: epoch}
}
