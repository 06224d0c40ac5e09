// Package fault is a TCP proxy that misbehaves when it is told to: between two nodes, a node and
// Redis, a client and a node. One proxy stands in front of one server; who comes through it may be
// told apart, so that one way is bad and the others are not.
package fault

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Direction is whose bytes a [Fault] meets.
type Direction uint8

// The directions; they may be joined by |.
const (
	Up   Direction = 1 << iota // from the client to the server
	Down                       // from the server to the client
	Both = Up | Down
)

// Fault is what happens to bytes. The zero value lets them pass.
type Fault struct {
	Delay time.Duration // they come so late, in order
	Stall bool          // nothing moves, not even an end: as on a wire that is cut. What was sent comes when the stall is over
	Drop  bool          // they are lost, and the connection goes on: as a server that has gone deaf
}

// Everybody is who a fault concerns that has no name.
const Everybody = ""

const (
	pieceSize = 16 << 10
	pieces    = 64      // that are late, in each direction of a connection
	mostHead  = 8 << 10 // bytes that are looked at for a name
	dialTime  = 5 * time.Second
)

// Proxy passes connections on to one server.
type Proxy struct {
	// static
	listener net.Listener
	to       string
	name     func(head []byte) (who string, enough bool)
	wait     sync.WaitGroup

	// guarded by mu
	mu      sync.Mutex
	faults  map[string]*[2]Fault // by who, of Up and Down
	refuses map[string]bool
	changed chan struct{} // closed when the faults change
	conns   map[*conn]struct{}
	closed  bool
}

// conn is one connection, and the one that the proxy has to the server for it.
type conn struct {
	who    string // guarded by Proxy.mu
	client *net.TCPConn
	done   chan struct{} // closed: it is over

	// guarded by mu
	mu     sync.Mutex
	server *net.TCPConn
	over   bool
}

// join takes the connection to the server; false: there is nobody any more who wants it.
func (c *conn) join(server *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		_ = server.Close()
		return false
	}
	c.server = server
	return true
}

// close ends both sides; hard: by a reset.
func (c *conn) close(hard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	for _, side := range [...]*net.TCPConn{c.client, c.server} {
		if side == nil {
			continue
		}
		if hard {
			_ = side.SetLinger(0)
		}
		_ = side.Close()
	}
	close(c.done)
}

// Listen starts a proxy to an address, on a port of the loopback. name says from the first bytes of
// a connection whose it is, and whether they are enough to tell; nil: nobody is told apart.
func Listen(to string, name func(head []byte) (who string, enough bool)) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	p := &Proxy{
		listener: l, to: to, name: name, faults: map[string]*[2]Fault{}, refuses: map[string]bool{},
		changed: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	p.wait.Go(p.accept)
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set gives the bytes of somebody, or of [Everybody], a fault: for connections that are there, and
// those that come. Who has a fault of his own does not have everybody's. The zero Fault mends.
func (p *Proxy) Set(who string, d Direction, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	both := p.faults[who]
	if both == nil {
		both = new([2]Fault)
		p.faults[who] = both
	}
	for i := range both {
		if d&(1<<i) != 0 {
			both[i] = f
		}
	}
	if *both == [2]Fault{} {
		delete(p.faults, who)
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Refuse closes, or no longer closes, what somebody, or [Everybody], opens from now on.
func (p *Proxy) Refuse(who string, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses[who] = yes
}

// Cut resets the connections of somebody, or of [Everybody], and returns how many there were. New
// ones are let through.
func (p *Proxy) Cut(who string) int {
	p.mu.Lock()
	var cut []*conn
	for c := range p.conns {
		if who == Everybody || c.who == who {
			cut = append(cut, c)
		}
	}
	p.mu.Unlock()
	for _, c := range cut {
		c.close(true)
	}
	return len(cut)
}

// Open returns how many connections there are.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut(Everybody)
	p.wait.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		c := &conn{client: client.(*net.TCPConn), done: make(chan struct{})}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			c.close(true)
			return
		}
		p.conns[c] = struct{}{}
		p.mu.Unlock()
		p.wait.Go(func() {
			p.serve(c)
			c.close(false)
			p.mu.Lock()
			delete(p.conns, c)
			p.mu.Unlock()
		})
	}
}

// serve finds out whose a connection is, and brings its bytes both ways until it is over.
func (p *Proxy) serve(c *conn) {
	head, ok := p.who(c)
	if !ok {
		return
	}
	server, err := net.DialTimeout("tcp", p.to, dialTime)
	if err != nil {
		c.close(true)
		return
	}
	side := server.(*net.TCPConn)
	if !c.join(side) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(c, c.client, side, 0, head) })
	both.Go(func() { p.carry(c, side, c.client, 1, nil) })
	both.Wait()
}

// who reads what it takes to know whose a connection is; false: it is not let through.
func (p *Proxy) who(c *conn) (head []byte, ok bool) {
	for p.name != nil && len(head) < mostHead {
		b := make([]byte, mostHead-len(head))
		n, err := c.client.Read(b)
		head = append(head, b[:n]...)
		who, enough := p.name(head)
		if enough || err != nil {
			p.mu.Lock()
			c.who = who
			p.mu.Unlock()
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return head, !p.refuses[c.who] && !p.refuses[Everybody]
}

// piece is what was read at once, or the end.
type piece struct {
	bytes []byte
	at    time.Time
	err   error
}

// carry brings the bytes of one direction (0: up, 1: down) until they end: one goroutine reads,
// this one waits and writes.
func (p *Proxy) carry(c *conn, from, to *net.TCPConn, d int, head []byte) {
	queue := make(chan piece, pieces)
	p.wait.Go(func() {
		defer close(queue)
		next := piece{bytes: head, at: time.Now()}
		for {
			if len(next.bytes) > 0 || next.err != nil {
				select {
				case queue <- next:
				case <-c.done:
					return
				}
			}
			if next.err != nil {
				return
			}
			b := make([]byte, pieceSize)
			n, err := from.Read(b)
			next = piece{b[:n], time.Now(), err}
		}
	})
	for next := range queue {
		f, ok := p.pass(c, d, next.at)
		if !ok {
			return
		}
		if len(next.bytes) > 0 && !f.Drop {
			if _, err := to.Write(next.bytes); err != nil {
				c.close(false)
				return
			}
		}
		switch {
		case next.err == io.EOF:
			_ = to.CloseWrite()
		case next.err != nil:
			c.close(true)
		}
	}
}

// pass waits until what was read at a time may go on, and returns the fault then; false: the
// connection is over.
func (p *Proxy) pass(c *conn, d int, read time.Time) (Fault, bool) {
	for {
		p.mu.Lock()
		both, changed := p.faults[c.who], p.changed
		if both == nil {
			both = p.faults[Everybody]
		}
		var f Fault
		if both != nil {
			f = both[d]
		}
		p.mu.Unlock()
		late := time.Until(read.Add(f.Delay))
		if !f.Stall && late <= 0 {
			return f, true
		}
		var due <-chan time.Time
		if !f.Stall {
			due = time.After(late)
		}
		select {
		case <-due:
		case <-changed:
		case <-c.done:
			return f, false
		}
	}
}
