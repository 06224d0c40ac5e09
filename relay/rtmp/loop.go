package rtmp

import (
	"io"
	"runtime"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/socket"
)

// loop is an event loop for publishers of small streams, which makes their fan-outs together.
// Thousands of such sessions share one. A large stream's fan-out would hold the others up: it is
// its own goroutine's affair.
type loop struct {
	*socket.Loop
	turn *relay.Turn
}

// newLoops makes a loop for every second processor. The other half is left to everything else,
// publishers that find all loops full among it.
func newLoops(r *relay.Relay) []*loop {
	var loops []*loop
	for range runtime.GOMAXPROCS(0) / 2 {
		turn := r.NewTurn()
		if l := socket.NewLoop(turn.Flush); l != nil {
			loops = append(loops, &loop{l, turn})
		}
	}
	return loops
}

// loopFrom is from how many publishers on event loops are used; they are left below half of it. A
// loop waits a moment for several publishers' messages to come together, and a system call that
// waits keeps Go's scheduler busy: a single stream's frame costs ten times as much in a loop as on
// a goroutine, and comes later; at some 60 publishers both cost the same.
const loopFrom = 64

// loop returns the loop for the session as it is now, and its connection; nil: none.
func (s *session) loop() (*loop, *door.Conn) {
	conn, ok := s.conn.(*door.Conn)
	if !ok || s.phase != phasePublish || !s.ingest.publisher.Small() || s.server.stats.Publishers.Load() < s.server.loopFrom {
		return nil, nil
	}
	var best *loop
	fewest := 0
	for _, l := range s.server.loops {
		if n := l.Members(); !l.Full() && (best == nil || n < fewest) {
			best, fewest = l, n
		}
	}
	return best, conn
}

// serveIn handles messages in a loop, until that is no longer the place for them. It has not if the
// loop could not take the connection.
func (s *session) serveIn(l *loop, conn *door.Conn) (ran bool, err error) {
	publisher := s.ingest.publisher
	publisher.InTurn(l.turn)
	defer publisher.InTurn(nil)
	misplaced := func() bool {
		return !publisher.Small() || s.server.stats.Publishers.Load() < s.server.loopFrom/2 || l.Crowded()
	}
	defer func() { s.chunks.src = s.conn }()
	return conn.RunIn(l.Loop, func(in io.Reader) error {
		s.chunks.src = in
		err := s.messages(misplaced)
		if err == socket.ErrNothing {
			s.chunks.giveBack()
		}
		return err
	})
}

// serveAlone handles messages on the session's goroutine, until a loop is the place for them.
func (s *session) serveAlone() error {
	return s.messages(func() bool {
		l, _ := s.loop()
		return l != nil
	})
}
