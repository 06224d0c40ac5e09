package fault

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that says what it hears, and a proxy in front of it that knows clients by their
// first line.
func echo(t *testing.T) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p, err := Listen(l.Addr().String(), func(head []byte) (string, bool) {
		line, _, ok := bytes.Cut(head, []byte("\n"))
		return string(line), ok
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

type client struct {
	t *testing.T
	net.Conn
}

// dial connects under a name.
func dial(t *testing.T, p *Proxy, who string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t, conn}
	c.say(who + "\n")
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hears(want string) {
	c.t.Helper()
	b := make([]byte, len(want))
	_ = c.SetReadDeadline(time.Now().Add(wait.Long))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		c.t.Fatalf("heard %q, %v; want %q", b, err, want)
	}
}

// hearsNothing for a while: what a fault holds back cannot be waited for.
func (c *client) hearsNothing() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 100)); n > 0 || err == nil || !strings.Contains(err.Error(), "timeout") {
		c.t.Fatalf("heard %d bytes, %v; want nothing", n, err)
	}
}

func TestPassesEverythingBothWays(t *testing.T) {
	c := dial(t, echo(t), "a")
	c.hears("a\n")
	large := strings.Repeat("0123456789abcdef", 1<<16)
	go func() {
		_, _ = io.WriteString(c, large)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
	}()
	_ = c.SetReadDeadline(time.Now().Add(wait.Long))
	got, err := io.ReadAll(c)
	if err != nil || string(got) != large {
		t.Fatalf("%d of %d bytes, %v", len(got), len(large), err)
	}
}

func TestDelaysInOrder(t *testing.T) {
	p := echo(t)
	c := dial(t, p, "a")
	c.hears("a\n")
	const late = 50 * time.Millisecond
	p.Set(Everybody, Up, Fault{Delay: late})
	begun := time.Now()
	for i := range 20 {
		c.say(fmt.Sprintf("%02d", i))
		time.Sleep(time.Millisecond)
	}
	for i := range 20 {
		c.hears(fmt.Sprintf("%02d", i))
		if i == 0 && time.Since(begun) < late {
			t.Errorf("late by %v only", time.Since(begun))
		}
	}
	// All were late together: not by 20 times the delay, but a busy machine is no fault.
	t.Logf("20 pieces took %v", time.Since(begun))
}

func TestStallHoldsBackAndLosesNothing(t *testing.T) {
	for _, d := range []Direction{Up, Down, Both} {
		p := echo(t)
		c := dial(t, p, "a")
		c.hears("a\n")
		p.Set(Everybody, d, Fault{Stall: true})
		c.say("held")
		c.hearsNothing()
		later := dial(t, p, "b") // who comes meanwhile is no better off
		later.hearsNothing()
		p.Set(Everybody, d, Fault{})
		c.hears("held")
		later.hears("b\n")
	}
}

func TestStallHidesTheEnd(t *testing.T) {
	p := echo(t)
	c := dial(t, p, "a")
	c.hears("a\n")
	p.Set(Everybody, Down, Fault{Stall: true})
	_ = c.Conn.(*net.TCPConn).CloseWrite() // the server closes
	c.hearsNothing()
	p.Set(Everybody, Down, Fault{})
	_ = c.SetReadDeadline(time.Now().Add(wait.Long))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

func TestDropLosesAndGoesOn(t *testing.T) {
	p := echo(t)
	c := dial(t, p, "a")
	c.hears("a\n")
	p.Set(Everybody, Down, Fault{Drop: true})
	c.say("lost")
	c.hearsNothing()
	p.Set(Everybody, Down, Fault{})
	c.say("and back")
	c.hears("and back")
}

func TestOneIsBadAndTheOtherIsNot(t *testing.T) {
	p := echo(t)
	a, b := dial(t, p, "a"), dial(t, p, "b")
	a.hears("a\n")
	b.hears("b\n")
	p.Set("a", Both, Fault{Stall: true})
	a.say("x")
	b.say("y")
	b.hears("y")
	a.hearsNothing()
	p.Set(Everybody, Both, Fault{Stall: true})
	p.Set("a", Both, Fault{})
	b.say("z")
	b.hearsNothing()
	p.Set(Everybody, Both, Fault{})
	a.hears("x")
	b.hears("z")
	if n := p.Cut("a"); n != 1 {
		t.Errorf("%d connections cut", n)
	}
	b.say("on")
	b.hears("on")
	_ = a.SetReadDeadline(time.Now().Add(wait.Long))
	if _, err := a.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the one that was cut: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	p := echo(t)
	before := dial(t, p, "a")
	before.hears("a\n")
	p.Refuse("a", true)
	c := dial(t, p, "a")
	_ = c.SetReadDeadline(time.Now().Add(wait.Long))
	if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("refused: %v", err)
	}
	before.say("on")
	before.hears("on")
	p.Refuse("a", false)
	dial(t, p, "a").hears("a\n")
}

func TestServerThatIsNotThere(t *testing.T) {
	p, err := Listen("127.0.0.1:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if conn, err := net.Dial("tcp", p.Addr()); err == nil { // else it was reset at once
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(wait.Long))
		if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("the server is not there: %v", err)
		}
	}
	wait.For(t, "the connection is gone", func() bool { return p.Open() == 0 })
}
