package room_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"liverelay/room"
	"liverelay/room/roomtest"
	"liverelay/test/wait"
)

// frozen is a store that does not answer while it is frozen. Of the steps that it is asked for in
// that time it does the first, at once or when it is thawed.
type frozen struct {
	*room.Memory
	later  bool
	frozen atomic.Bool
	reads  atomic.Int64 // that were answered
	first  chan func()
}

var errNoAnswer = errors.New("no answer in time")

func (f *frozen) Read(ctx context.Context, key room.Key, at room.Position) (room.View, error) {
	v, err := f.Memory.Read(ctx, key, at)
	f.reads.Add(1)
	return v, err
}

func (f *frozen) Commit(ctx context.Context, key room.Key, c *room.Commit) (int64, error) {
	if !f.frozen.Load() {
		return f.Memory.Commit(ctx, key, c)
	}
	step := func() { _, _ = f.Memory.Commit(context.WithoutCancel(ctx), key, c) }
	if !f.later {
		step()
		step = func() {}
	}
	select {
	case f.first <- step:
	default:
	}
	return 0, errNoAnswer
}

// startAt starts a node with a store that others have too.
func startAt(t *testing.T, store room.Store, memory *room.Memory, tweak func(*roomtest.Config)) *roomtest.Node {
	t.Helper()
	n, err := roomtest.NewNode(store, memory.Bus(), tweak)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// again sends a request until it is done, while its refusal says that it may come again.
func again(t *testing.T, c *roomtest.Client, typ string, fields M) *roomtest.Frame {
	t.Helper()
	for {
		f := do(t, c, typ, fields)
		if f.Error == nil {
			return f
		}
		if !f.Error.Retryable {
			t.Fatalf("%s: refused: %d %s", typ, f.Error.Code, f.Error.Msg)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestResumeThatWasNotAnswered: a member comes to another node with its session while the store
// is frozen. The node says that it should come again, and the store does the step: it has the
// member on a node that knows no session of it. The member is not taken for gone, unless it does
// not come.
func TestResumeThatWasNotAnswered(t *testing.T) {
	for name, c := range map[string]struct{ later, alone, stays bool }{
		"it comes again":                          {},
		"it comes again, alone":                   {alone: true},
		"it comes again, the step is made later":  {later: true},
		"it comes again, alone, the step is late": {later: true, alone: true},
		"it stays away":                           {stays: true},
		"it stays away, the step is late":         {later: true, stays: true},
		"it stays away, alone, the step is late":  {later: true, alone: true, stays: true},
	} {
		t.Run(name, func(t *testing.T) { resumeUnanswered(t, c.later, c.alone, c.stays) })
	}
}

func resumeUnanswered(t *testing.T, later, alone, stays bool) {
	memory := room.NewMemory()
	store := &frozen{Memory: memory, later: later, first: make(chan func(), 1)}
	var ahead atomic.Int64
	tweak := func(c *roomtest.Config) {
		c.Tick, c.Signal.Heartbeat = 5*time.Millisecond, time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	old, next := startAt(t, memory, memory, tweak), startAt(t, store, memory, tweak)
	ann, bob := login(t, old, "ann"), login(t, old, "bob")
	var cho *roomtest.Client
	if !alone {
		cho = login(t, next, "cho")
	}
	view := bob.View("r1")
	bob.Drop()
	request := creds("bob")
	request["resume"] = M{"session": view.Session, "seq": view.Seq}

	store.frozen.Store(true)
	refused(t, dial(t, next), room.CodeUnavailable, "login", request)
	store.frozen.Store(false)
	step, reads := <-store.first, store.reads.Load()
	wait.For(t, "the node to read the room again", func() bool { return store.reads.Load() > reads })
	step()
	if cho != nil {
		again(t, cho, "broadcast", M{"message": "a step of the room"})
		event(t, ann, "broadcast", nil)
	}
	if stays {
		ahead.Store(int64(2 * time.Minute))
		event(t, ann, "userUpdate", update("DELETE", "bob"))
		return
	}
	back := dial(t, next)
	back.Adopt(view)
	if !again(t, back, "login", request).Resumed {
		t.Fatal("it was taken for gone")
	}
	must(t, back, "broadcast", M{"message": "here"})
	event(t, ann, "broadcast", func(f *roomtest.Frame) bool { return f.Messages[0].From.ID == "bob" })
	for _, f := range ann.Events() {
		if f.Update == "DELETE" {
			t.Errorf("ann was told of a DELETE: %v", f.Users)
		}
	}
}
