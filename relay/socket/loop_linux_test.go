package socket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"liverelay/relay/socket/sockettest"
)

// newLoop makes a loop, whose end the test waits for.
func newLoop(t testing.TB) *Loop {
	t.Helper()
	lp := NewLoop(func() {})
	t.Cleanup(lp.Wait)
	return lp
}

// start runs f in a loop, and returns where its result comes.
func start(lp *Loop, c *Conn, f func(io.Reader) error) <-chan error {
	done := make(chan error, 1)
	go func() {
		ran, err := c.RunIn(lp, f)
		if !ran {
			err = errors.New("not in the loop")
		}
		done <- err
	}()
	return done
}

func result(t testing.TB, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("still in the loop")
		return nil
	}
}

// echo ends with io.EOF.
func echo(c *Conn) func(io.Reader) error {
	b := make([]byte, 1000)
	return func(io.Reader) error {
		for {
			n, err := c.Read(b)
			if err == nil {
				_, err = c.Write(b[:n])
			}
			if err != nil {
				return err
			}
		}
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestRunIn(t *testing.T) {
	lp := newLoop(t)
	before := descriptors(t)
	for round := range 3 { // with no connection in it, a loop ends; another one begins
		var wg sync.WaitGroup
		for i := range 20 {
			s, c := pair(t)
			wg.Go(func() {
				var err error
				for code := echo(s); err == nil; { // it is out of the loop while the peer does not take what it writes
					_, err = s.RunIn(lp, code)
				}
				if err != io.EOF {
					t.Errorf("%d: %v", i, err)
				}
				// It is an ordinary connection again.
				if _, err := io.WriteString(s, "bye"); err != nil {
					t.Errorf("%d: afterwards: %v", i, err)
				}
				raw, err := s.SyscallConn()
				if err == nil {
					err = raw.Control(func(uintptr) {})
				}
				if err != nil {
					t.Errorf("%d: afterwards: %v", i, err)
				}
				s.Close()
			})
			wg.Go(func() {
				sent := bytes.Repeat(fmt.Appendf(nil, "%d of round %d. ", i, round), 5000)
				go func() {
					for part := sent; len(part) > 0; {
						n := min(len(part), 1+i*100)
						c.Write(part[:n])
						part = part[n:]
					}
					c.CloseWrite()
				}()
				got, err := io.ReadAll(c)
				if want := string(sent) + "bye"; err != nil || string(got) != want {
					t.Errorf("%d: sent %d bytes, got %d, %v", i, len(want), len(got), err)
				}
				c.Close()
			})
		}
		wg.Wait()
	}
	eventually(t, "descriptors are left", func() bool { return descriptors(t) <= before })
}

func TestLoopReadsTheRestFirst(t *testing.T) {
	lp := newLoop(t)
	s, c := pairAfter(t, "hello")
	c.CloseWrite()
	var got []byte
	_, err := s.RunIn(lp, func(io.Reader) error {
		for b := make([]byte, 2); ; {
			n, err := s.Read(b)
			if got = append(got, b[:n]...); err != nil {
				return err
			}
		}
	})
	if err != io.EOF || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

// What of it was not read in the loop is read after it.
func TestLoopLeavesTheRest(t *testing.T) {
	lp := newLoop(t)
	s, c := pairAfter(t, "hello")
	c.CloseWrite()
	b := make([]byte, 2)
	_, err := s.RunIn(lp, func(in io.Reader) error {
		_, err := in.Read(b)
		return err
	})
	rest, restErr := io.ReadAll(s)
	if err != nil || restErr != nil || string(b) != "he" || string(rest) != "llo" {
		t.Errorf("%q, %v; afterwards %q, %v", b, err, rest, restErr)
	}
}

// Who listens in to a connection hears what is read of it in a loop.
func TestLoopIsHeard(t *testing.T) {
	lp := newLoop(t)
	s, c := pair(t)
	var h heard
	stop, _, err := Listen(s, h.tap)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	io.WriteString(c, "hello")
	c.CloseWrite()
	err = result(t, start(lp, s, func(in io.Reader) error {
		_, err := io.ReadAll(in)
		if err == nil {
			_, err = io.WriteString(s, "bye")
		}
		return err
	}))
	if err != nil || !h.is("hello", "bye") {
		t.Errorf("heard %q and %q: %v", h.came.String(), h.went.String(), err)
	}
}

func TestLoopDeadlines(t *testing.T) {
	lp := newLoop(t)
	s, c := pair(t)
	s.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // stays when it enters
	b := make([]byte, 1)
	var late []error
	third, taken := make(chan struct{}), make(chan struct{})
	read := 0
	done := start(lp, s, func(io.Reader) error {
		for {
			n, err := s.Read(b)
			switch {
			case err == ErrNothing || err != nil && len(late) > 3:
				return err
			case err != nil:
				late = append(late, err)
			}
			switch len(late) {
			case 1: // it has passed, until there is a new one
			case 2:
				s.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				s.SetReadDeadline(time.Now().Add(40 * time.Millisecond))
			case 3: // and reads until the other goroutine has enough
				s.SetReadDeadline(time.Now().Add(10 * time.Minute))
				if err != nil {
					close(third)
				} else if read += n; read == 2 {
					close(taken)
				}
			case 4:
				s.SetReadDeadline(time.Time{})
				return nil
			}
		}
	})
	await := func(what string, step <-chan struct{}) {
		select {
		case <-step:
		case <-time.After(patience):
			t.Fatal(what)
		}
	}
	await("three deadlines have not passed", third)
	c.Write([]byte("??"))
	await("what was sent has not come", taken)
	s.SetReadDeadline(time.Unix(1, 0))
	if err := result(t, done); err != nil {
		t.Error(err)
	}
	if len(late) != 4 {
		t.Errorf("%d deadlines passed, want 4", len(late))
	}
	for i, err := range late {
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read %d: %v", i, err)
		}
	}
}

// A deadline that is changed from elsewhere ends the wait at once, and one set in the loop holds
// after it.
func TestLoopIsInterrupted(t *testing.T) {
	lp := newLoop(t)
	s, _ := pair(t)
	for range 50 {
		s.SetReadDeadline(time.Now().Add(time.Minute))
		done := start(lp, s, func(io.Reader) error {
			_, err := s.Read(make([]byte, 1))
			return err
		})
		s.SetReadDeadline(time.Unix(1, 0))
		if err := result(t, done); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after the loop: %v", err)
		}
	}
}

func TestLoopClose(t *testing.T) {
	lp := newLoop(t)
	s, c := pair(t)
	entered := make(chan struct{})
	enter := sync.OnceFunc(func() { close(entered) })
	done := start(lp, s, func(io.Reader) error {
		enter()
		_, err := s.Read(make([]byte, 1))
		return err
	})
	<-entered
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := result(t, done); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := s.Close(); err == nil {
		t.Error("closed twice without an error")
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer's end is open: %d, %v", n, err)
	}
}

// What the socket does not take is written all the same, outside the loop; and the loop can be
// entered again.
func TestLoopWritesTheRest(t *testing.T) {
	lp := newLoop(t)
	s, c := pair(t)
	s.SetWriteBuffer(1)       // as little as can be
	c.SetReadBuffer(64 << 10) // and it does not grow
	want := bytes.Repeat([]byte("0123456789"), loopUnsent/10)
	for round := range 2 {
		called, written := false, make(chan struct{})
		done := start(lp, s, func(io.Reader) error {
			if called {
				return errors.New("called again")
			}
			called = true
			defer close(written)
			for _, part := range [][]byte{want[:100_000], want[100_000:100_001], want[100_001:]} { // the first one fills the socket
				if n, err := s.Write(part); n != len(part) || err != nil {
					return fmt.Errorf("%d bytes of %d, %w", n, len(part), err)
				}
			}
			return ErrNothing
		})
		<-written // before anything is read
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("round %d: %v, or other bytes", round, err)
		}
		if err := result(t, done); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	s.SetWriteDeadline(time.Now().Add(time.Second)) // nobody reads: what was taken is written for no longer
	err := result(t, start(lp, s, func(io.Reader) error {
		for {
			if _, err := s.Write(want); err != nil {
				return err
			}
		}
	}))
	if !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("written without end: %v", err)
	}
}

// One who takes nothing waits alone, and no longer than its deadline; one who never ends leaves
// others their turn.
func TestLoopIsShared(t *testing.T) {
	lp := newLoop(t)
	stuck, _ := pair(t)
	stuck.SetWriteBuffer(1)
	stuck.SetDeadline(time.Now().Add(time.Minute))
	full := make(chan struct{})
	stuckDone := start(lp, stuck, func(io.Reader) error {
		close(full)
		_, err := stuck.Write(make([]byte, loopUnsent))
		return err
	})
	<-full

	flood, source := pair(t)
	floodDone := start(lp, flood, func(io.Reader) error {
		for b := make([]byte, 4096); ; {
			if _, err := flood.Read(b); err != nil {
				return err
			}
		}
	})
	go func() {
		source.SetDeadline(time.Time{})
		for b := make([]byte, 1<<20); ; {
			if _, err := source.Write(b); err != nil {
				return
			}
		}
	}()

	s, c := pair(t)
	done := start(lp, s, echo(s))
	for range 100 {
		c.Write([]byte("still there?"))
		if _, err := io.ReadFull(c, make([]byte, 12)); err != nil {
			t.Fatal(err)
		}
	}
	c.CloseWrite()
	if err := result(t, done); err != io.EOF {
		t.Error(err)
	}
	select {
	case err := <-stuckDone:
		t.Errorf("the one who takes nothing: %v", err)
	default:
	}
	stuck.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	if err := result(t, stuckDone); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the one who takes nothing: %v", err)
	}
	flood.Close()
	if err := result(t, floodDone); !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the flood: %v", err)
	}
}

// Without a descriptor for a loop the code does not run, and the connection is as it was.
func TestLoopOutOfDescriptors(t *testing.T) {
	lp := newLoop(t)
	s, c := pair(t)
	descriptors := sockettest.Exhaust(t, 256)
	for spare := range 4 { // it takes one for the socket, one for the loop, one for its eventfd
		t.Run(fmt.Sprint(spare), func(t *testing.T) {
			if spare > 0 { // one more than before
				descriptors.Spare()
			}
			s.SetDeadline(time.Now().Add(patience))
			c.Write([]byte("?"))
			in := false
			ran, err := s.RunIn(lp, func(io.Reader) error {
				in = s.loop != nil
				_, err := s.Read(make([]byte, 1))
				return err
			})
			if !ran && err == nil {
				_, err = s.Read(make([]byte, 1))
			}
			if want := spare == 3; err != nil || ran != want || in != want {
				t.Errorf("ran: %t, in a loop: %t, want %t; %v", ran, in, want, err)
			}
		})
	}
}

// After the code of those who had something to read, the loop calls turn, once for all of them.
func TestLoopTurns(t *testing.T) {
	unseen, turns := 0, 0 // of the loop
	lp := NewLoop(func() {
		if unseen > 0 {
			unseen = 0
			turns++
		}
	})
	t.Cleanup(lp.Wait)
	const members, messages = 10, 50
	var wg sync.WaitGroup
	for range members {
		s, c := pair(t)
		wg.Go(func() {
			b, read := make([]byte, 1), 0
			_, err := s.RunIn(lp, func(io.Reader) error {
				for ; read < messages; read++ {
					if _, err := s.Read(b); err != nil {
						return err
					}
					unseen++
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			s.Close()
		})
		wg.Go(func() {
			for range messages {
				c.Write([]byte("!"))
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	lp.Wait()
	if unseen != 0 || turns == 0 || turns > members*messages {
		t.Errorf("%d turns, %d messages were not followed by one", turns, unseen)
	}
}

// A loop that has more to do than it can says so, and to as many as should go.
func TestLoopLoad(t *testing.T) {
	lp := newLoop(t)
	s, c := pair(t)
	more := make(chan struct{}, 1) // a byte whenever all has been read: then others have their turn
	more <- struct{}{}
	go func() {
		for range more {
			if _, err := c.Write([]byte("!")); err != nil {
				return
			}
		}
	}()
	defer c.Close()
	defer close(more)
	if lp.Full() || lp.Crowded() {
		t.Error("full without a member")
	}
	b, full := make([]byte, 4096), false
	_, err := s.RunIn(lp, func(io.Reader) error {
		for {
			if _, err := s.Read(b); err != nil {
				select {
				case more <- struct{}{}:
				default:
				}
				return err
			}
			for begun := time.Now(); time.Since(begun) < 200*time.Millisecond; { // works, and waits for much less, also on a busy machine
				continue
			}
			full = full || lp.Full()
			if lp.Crowded() {
				if !full || lp.Crowded() {
					return errors.New("more than one of one member shall go, or it was not full")
				}
				return nil
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	s.Close()
}

// T9: the peer has said its last, and closed, before the loop has the connection: both are read.
func TestLoopSeesAnEndOfBeforeItEntered(t *testing.T) {
	lp := newLoop(t)
	stays, other := pair(t)
	staying := start(lp, stays, echo(stays))
	for range 3 {
		time.Sleep(20 * time.Millisecond) // the loop sleeps
		c, peer := pair(t)
		if _, err := peer.Write([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		if err := peer.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // both have come
		heard, b := "", make([]byte, 1000)
		err := result(t, start(lp, c, func(io.Reader) error {
			for {
				n, err := c.Read(b)
				heard += string(b[:n])
				if err != nil {
					return err
				}
			}
		}))
		if heard != "last words" || err != io.EOF {
			t.Errorf("%q, %v", heard, err)
		}
		c.Close()
		peer.Close()
	}
	other.Close()
	if err := result(t, staying); err != io.EOF {
		t.Error(err)
	}
	stays.Close()
}
