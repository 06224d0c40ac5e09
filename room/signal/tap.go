package signal

import "errors"

// Why a member's connection is not listened in to.
var (
	ErrNoMember = errors.New("no such member with a connection")
	ErrTapped   = errors.New("another connection is listened in to")
)

// tapped is the one connection that is listened in to.
type tapped struct {
	conn *conn
	tap  func(sent bool, frame []byte)
}

// Listen tells tap what a member's connection carries from now on, until stop: its text frames as
// they are inside of TLS, without the mask under which no credential could be seen and covered. The
// member is APP/ROOM/USER; one connection is listened in to at a time. tap must not keep frame, nor
// wait; who reads and who writes may call it at the same time.
func (s *Server) Listen(member string, tap func(sent bool, frame []byte)) (stop func(), err error) {
	var found *conn
	s.each(func(c *conn) bool {
		if c.serves(member) {
			found = c
		}
		return found == nil
	})
	if found == nil {
		return nil, ErrNoMember
	}
	t := &tapped{found, tap}
	if !s.tapped.CompareAndSwap(nil, t) {
		return nil, ErrTapped
	}
	return func() { s.tapped.CompareAndSwap(t, nil) }, nil
}

// serves says whether the connection is that of a member APP/ROOM/USER.
func (c *conn) serves(member string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.sessions {
		if c.app+"/"+name+"/"+c.user == member {
			return true
		}
	}
	return false
}

// carried tells whoever listens in to c.
func (c *conn) carried(sent bool, frame []byte) {
	if t := c.server.tapped.Load(); t != nil && t.conn == c {
		t.tap(sent, frame)
	}
}
