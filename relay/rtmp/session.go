package rtmp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
	"liverelay/relay/socket"
)

// phase is how far a session has come. A player is no longer a session.
type phase uint8

const (
	phaseHandshake phase = iota
	phaseConnect         // awaits connect
	phaseCommand         // awaits publish or play
	phasePublish
	phaseUnpublished // awaits another publish, or the end; late media is dropped
)

func (p phase) String() string {
	return [...]string{"handshake", "connect", "publish or play", "media", "another publish"}[p]
}

// bytes bounds what a peer may send in a phase without media. After a publication
// some of it may still be under way.
func (p phase) bytes() uint64 {
	if p == phaseUnpublished {
		return 16 << 20
	}
	return 1 << 20
}

// session is one connection from its first byte on, until it plays. One
// goroutine runs it: reads, answers, and hands media to the relay.
type session struct {
	// owned by run. What each message looks at lies together
	chunks  chunkReader
	phase   phase
	handled int    // messages, since it was looked whether it is in its place
	ingest  ingest // while publishing; else zero
	began   uint64 // bytes received when the phase began
	connected
	name      relay.Name // that publish or play was about, once it was read
	user      string     // of the grant to publish
	opened    time.Time
	heartbeat door.Heartbeat

	// static
	server   *Server
	conn     net.Conn
	remote   netip.AddrPort
	protocol string

	// guarded by mu
	mu     sync.Mutex
	course *door.Course // of the publication, or of the wait for the next: never nil
	moves  string       // see canReconnect
	asked  *output      // to be written while it publishes, at the next tick of the heartbeat
}

// connected is what the peer said in connect.
type connected struct {
	app      string     // without its query
	appQuery string     // behind the app
	query    url.Values // of tcUrl and app
	agent    string     // flashVer
	form     flv.Form   // that it announced
}

func newSession(s *Server, conn net.Conn) *session {
	remote, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	session := &session{server: s, conn: conn, remote: remote, protocol: ProtocolRTMP, opened: time.Now(), course: &door.Course{}}
	if _, secure := socket.Below(conn); secure {
		session.protocol = ProtocolRTMPS
	}
	return session
}

// errPlaying ends run without ending the connection: a player has it now.
var errPlaying = errors.New("plays")

// run is the session's goroutine.
func (s *session) run() {
	s.chunks.open(s.conn, s, &s.server.stats.BytesIn, limitsBefore)
	err := s.serve()
	if errors.Is(err, errPlaying) {
		s.server.wg.Done() // the player has entered in our place
		return
	}
	s.mu.Lock()
	err = s.course.End(err)
	s.mu.Unlock()
	publishing := s.phase == phasePublish
	s.ingest.close(false)
	s.farewell(err, publishing)
	s.chunks.release()
	_ = s.conn.Close()
	s.report(err, publishing)
	s.server.unregister(s)
}

// serve does the handshake and then one message after the other.
func (s *session) serve() error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.server.HandshakeTimeout)); err != nil {
		return err
	}
	s.begin(phaseHandshake, s.server.HandshakeTimeout)
	if err := serverHandshake(&s.chunks.input, s.conn, rand.Reader); err != nil {
		if s.chunks.received == 0 && hungUp(err) {
			return errProbe // with or without a PROXY header, over TLS too
		}
		return fmt.Errorf("handshake: %w", err)
	}
	s.chunks.received = uint64(s.chunks.w - s.chunks.r) // what came right behind C2
	s.chunks.window = ackWindow / 2
	s.begin(phaseConnect, s.server.HandshakeTimeout)
	for {
		var err error
		ran := false
		if loop, conn := s.loop(); loop != nil {
			ran, err = s.serveIn(loop, conn)
		}
		if !ran {
			err = s.serveAlone()
		}
		if err != nil {
			return err
		}
	}
}

// hungUp says whether the peer closed the connection, in good order or, as many
// health probes do, with a reset.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// left says what it means that the peer closed the connection now.
func (s *session) left() error {
	switch s.phase {
	case phaseUnpublished:
		return errEnded
	case phasePublish:
		return io.EOF
	}
	return errUnfinished
}

// begin starts a phase that may take so long. The deadline is absolute: a peer
// that trickles gains nothing.
func (s *session) begin(p phase, timeout time.Duration) {
	s.phase, s.began = p, s.chunks.received
	s.deadline(timeout)
}

// deadline lets reading take so long from now; 0 is for ever.
func (s *session) deadline(timeout time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.course.Phase() >= door.Leaving {
		return // and has the deadline for that
	}
	var t time.Time
	if timeout > 0 {
		t = time.Now().Add(timeout)
	}
	_ = s.conn.SetReadDeadline(t)
}

// quiet implements inputHook: the phase's time is up, or it is time to look whether
// the publisher is still there.
func (s *session) quiet() error {
	if why := s.reason(); why != nil {
		return why
	}
	if s.phase != phasePublish {
		return fmt.Errorf("%w: no %s in time", errTimeout, s.phase)
	}
	ping, err := s.heartbeat.Beat(s.chunks.received)
	if err != nil {
		return err
	}
	s.deadline(s.heartbeat.Tick)
	s.mu.Lock()
	o := s.asked
	s.asked = nil
	s.mu.Unlock()
	switch {
	case o == nil && !ping:
		return nil
	case o == nil:
		o = s.output()
	}
	o.event(&message.UserCtrlEventPingRequest{Timestamp: uint32(time.Now().UnixMilli())})
	return s.write(o)
}

// acknowledge implements inputHook.
func (s *session) acknowledge(received uint32) error {
	o := s.output()
	o.control(&message.Ack{SequenceNumber: received})
	return s.write(o)
}

func (s *session) output() *output { return &output{chunkSize: s.server.ChunkSize} }

func (s *session) write(o *output) error { return writeAll(s.conn, o.bytes) }

func writeAll(conn net.Conn, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: takes no reply", errTimeout)
	}
	return err
}

// closeWrite ends our half of the connection, so that the peer gets all of it.
func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

func (s *session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.course.Why()
}

// end ends the session from another goroutine, if it is still in a publication's course (nil: in
// whichever): run notices at once and says farewell.
func (s *session) end(course *door.Course, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if course != nil && course != s.course {
		return
	}
	if s.course.Leave(why) < door.Leaving {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (s *session) shutdown() { s.end(nil, relay.ErrClosed) }

func (s *session) abort() { _ = s.conn.Close() }

// moveEvery is after how many messages a publisher's session looks whether it is in its place.
const moveEvery = 64

// messages handles one message after the other, until a publication begins or ends, or misplaced
// says that the rest is better handled elsewhere.
func (s *session) messages(misplaced func() bool) error {
	publishing := s.phase == phasePublish
	for publishing == (s.phase == phasePublish) {
		if publishing && s.handled >= moveEvery {
			if s.handled = 0; misplaced() {
				return nil
			}
		}
		m, err := s.chunks.next()
		if err != nil {
			if err == io.EOF {
				return s.left()
			}
			return err
		}
		if s.phase != phasePublish && s.chunks.received-s.began > s.phase.bytes() {
			return errFlood
		}
		s.handled++
		if err := s.handle(m); err != nil {
			return err
		}
	}
	return nil
}

// handle does what one message asks for.
func (s *session) handle(m Message) error {
	switch m.Type {
	case message.TypeIDAck, message.TypeIDSetPeerBandwidth:
		return controlSize(m)
	case message.TypeIDWinAckSize:
		return s.chunks.acknowledgeBy(m)
	case message.TypeIDUserCtrl:
		return s.userControl(m)
	case message.TypeIDAudioMessage, message.TypeIDVideoMessage, message.TypeIDAggregateMessage,
		message.TypeIDDataMessageAMF0, message.TypeIDDataMessageAMF3:
		return s.media(m)
	case message.TypeIDCommandMessageAMF0, message.TypeIDCommandMessageAMF3:
		c, err := parseCommand(m)
		if err != nil || c.name == "" {
			return err
		}
		return s.command(c)
	}
	return nil // shared objects and what nobody knows
}

// media takes audio, video, data and aggregates of them.
func (s *session) media(m Message) error {
	switch s.phase {
	case phasePublish:
	case phaseUnpublished:
		return nil // still under way when it ended
	default:
		switch m.Type {
		case message.TypeIDDataMessageAMF0, message.TypeIDDataMessageAMF3:
			return nil
		}
		return violation("media before publish")
	}
	if buffer := s.chunks.buffer; buffer != nil && (m.Type == message.TypeIDAudioMessage || m.Type == message.TypeIDVideoMessage) {
		return s.ingest.publisher.WriteBuffer(flv.Kind(m.Type), m.Timestamp, buffer)
	}
	return s.deliver(m)
}

func (s *session) deliver(m Message) error {
	switch m.Type {
	case message.TypeIDAudioMessage:
		return s.ingest.publisher.Write(flv.Audio, m.Timestamp, m.Payload)
	case message.TypeIDVideoMessage:
		return s.ingest.publisher.Write(flv.Video, m.Timestamp, m.Payload)
	case message.TypeIDDataMessageAMF0, message.TypeIDDataMessageAMF3:
		payload, err := dataPayload(m)
		if err != nil {
			return err
		}
		if len(payload) == 0 {
			return s.ingest.publisher.Spend(len(m.Payload))
		}
		return s.ingest.publisher.Write(flv.Script, m.Timestamp, payload)
	case message.TypeIDAggregateMessage:
		return splitAggregate(m, s.deliver)
	}
	return nil
}

func (s *session) userControl(m Message) error {
	event, value, err := userControl(m.Payload)
	if err != nil {
		return err
	}
	switch event {
	case eventPingRequest:
		o := s.output()
		o.event(&message.UserCtrlEventPingResponse{Timestamp: value})
		return s.write(o)
	case eventPingResponse:
		s.heartbeat.Answered = true
	}
	return nil
}
