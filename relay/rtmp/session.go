package rtmp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/flv"
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
	// static
	server   *Server
	conn     net.Conn
	remote   netip.AddrPort
	protocol string

	// owned by run
	chunks  chunkReader
	phase   phase
	handled int    // messages, since it was looked whether it is in its place
	began   uint64 // bytes received when the phase began
	connected
	name      relay.Name // that publish or play was about, once it was read
	user      string     // of the grant to publish
	opened    time.Time
	ingest    *ingest // while publishing
	heartbeat door.Heartbeat

	// guarded by mu
	mu     sync.Mutex
	course *door.Course // of the publication, or of the wait for the next: never nil
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
	if _, ok := conn.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
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
	if s.ingest != nil {
		s.ingest.close(false)
	}
	s.farewell(err, publishing)
	s.chunks.release()
	_ = s.conn.Close()
	s.report(err, publishing)
	s.server.leave(s)
}

// serve does the handshake and then one message after the other.
func (s *session) serve() error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.server.HandshakeTimeout)); err != nil {
		return err
	}
	s.enter(phaseHandshake, s.server.HandshakeTimeout)
	if err := serverHandshake(&s.chunks.input, s.conn, rand.Reader); err != nil {
		if s.chunks.received == 0 && hungUp(err) {
			return errProbe // with or without a PROXY header, over TLS too
		}
		return fmt.Errorf("handshake: %w", err)
	}
	s.chunks.received = uint64(s.chunks.w - s.chunks.r) // what came right behind C2
	s.chunks.window = ackWindow / 2
	s.enter(phaseConnect, s.server.HandshakeTimeout)
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
	return errUnfinish
}

// enter begins a phase that may take so long. The deadline is absolute: a peer
// that trickles gains nothing.
func (s *session) enter(p phase, timeout time.Duration) {
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
	if !ping {
		return nil
	}
	o := s.output()
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

// command answers one command. What is not known is not answered: clients ask
// for all sorts of things and go on without.
func (s *session) command(c command) error {
	if (s.phase == phaseConnect) != (c.name == "connect") {
		switch c.name {
		case "connect":
			return violation("connect twice")
		case "publish", "play":
			return s.refuse(c.name, fmt.Errorf("%w: %s before connect", errOrder, c.name))
		}
		return violation("%.32q before connect", c.name)
	}
	o := s.output()
	switch c.name {
	case "connect":
		return s.connect(c)
	case "createStream":
		// Always the same: players share bytes that name it, and one
		// connection has one stream.
		o.command(0, "_result", c.transaction, nil, streamID)
	case "releaseStream", "_checkbw":
		o.command(0, "_result", c.transaction, nil, nil)
	case "getStreamLength":
		o.command(0, "_result", c.transaction, nil, 0) // live
	case "FCPublish":
		o.command(0, "_result", c.transaction, nil, nil)
		o.command(0, "onFCPublish", 0, nil, notice(codePublishStart, c))
	case "FCSubscribe":
		o.command(0, "onFCSubscribe", 0, nil, notice(codePlayStart, c))
	case "publish":
		return s.publish(c)
	case "play":
		return s.play(c)
	case "FCUnpublish":
		o.command(0, "onFCUnpublish", 0, nil, notice(codeUnpublish, c))
		s.unpublish(o)
	case "closeStream", "deleteStream":
		s.unpublish(o)
	}
	return s.write(o)
}

// notice is the information object of the FC commands.
func notice(code string, c command) map[string]any {
	name, _, _ := strings.Cut(c.text(1), "?")
	return map[string]any{"level": levelStatus, "code": code, "description": name}
}

// connect answers connect (§7.2.1.1).
func (s *session) connect(c command) error {
	request := c.object(0)
	app, _ := request["app"].(string)
	tcURL, _ := request["tcUrl"].(string)
	agent, _ := request["flashVer"].(string)
	s.agent = relay.UserAgent(agent)
	_, urlQuery, _ := strings.Cut(tcURL, "?")
	s.app, s.appQuery, _ = strings.Cut(app, "?")
	s.query = parseQuery(urlQuery, s.appQuery)

	o := s.output()
	o.chunkSize = defaultChunkSize
	if strings.Trim(s.app, "/ ") == "" {
		o.command(0, "_error", c.transaction, nil,
			map[string]any{"level": levelError, "code": codeRejected, "description": "no application named: want rtmp://host/app/stream"})
		_ = s.write(o)
		return violation("connect without an app")
	}
	o.control(&message.WinAckSize{Size: ackWindow})
	o.control(&message.SetPeerBandwidth{Size: ackWindow, Limit: message.LimitTypeDynamic})
	o.control(&message.SetChunkSize{ChunkSize: uint32(s.server.ChunkSize)})
	s.form = announced(request)
	properties, info := connectResult(request)
	o.command(0, "_result", c.transaction, properties, info)
	s.enter(phaseCommand, s.server.CommandTimeout)
	return s.write(o)
}

// target says which stream publish or play means. The token may be in the stream's
// name, in the app or in tcUrl; the more special wins. Encoders with one field
// for all send an empty name and app "app/stream"; those that cut an address at its
// last slash may do so within the query, and send its end for the name.
func (s *session) target(name string) (relay.Name, url.Values, error) {
	name, query, _ := strings.Cut(name, "?")
	if _, err := relay.ParseName(s.app, ""); err == nil && s.appQuery != "" && name != "" {
		query, name = s.appQuery+"/"+name, ""
	}
	q := relay.ParseQuery(query)
	for key, v := range s.query {
		if _, ok := q[key]; !ok {
			q[key] = v
		}
	}
	n, err := relay.ParseName(s.app, name)
	if err != nil {
		// Without the name: an ill-formed one may hold a token.
		err = fmt.Errorf("%w: app of %d bytes, stream of %d bytes", relay.ErrBadName, len(s.app), len(name))
	}
	return n, q, err
}

// parseQuery decodes queries; a later one wins.
func parseQuery(queries ...string) url.Values {
	all := url.Values{}
	for _, query := range queries {
		maps.Copy(all, relay.ParseQuery(query))
	}
	return all
}

// refuse ends the session with a status for publish or play.
func (s *session) refuse(action string, err error) error {
	return &refusal{action, err}
}

// refusal is an error that the peer is told.
type refusal struct {
	action string
	err    error
}

func (r *refusal) Error() string { return r.action + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// farewell tells the peer why, if there is anything to tell, and gives it a
// moment to read it: closing with unread bytes would reset the connection.
func (s *session) farewell(err error, publishing bool) {
	o := s.output()
	if s.phase < phaseCommand {
		o.chunkSize = defaultChunkSize
	}
	row := outcomeOf(err)
	code := ""
	var r *refusal
	switch {
	case errors.As(err, &r) && r.action == "play":
		code = row.play
	case r != nil, publishing:
		code = row.publish
	}
	if code == "" {
		return
	}
	level := levelError
	if code == codeUnpublish {
		level = levelStatus
	}
	o.status(level, code, row.Text)
	if s.write(o) != nil {
		return
	}
	closeWrite(s.conn)
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	s.chunks.borrow()
	for {
		if _, err := s.conn.Read(s.chunks.buf); err != nil {
			return
		}
	}
}
