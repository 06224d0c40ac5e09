package rtmp

import (
	"errors"
	"fmt"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/door"
)

// ingest is a session's publication. It is owned by run.
type ingest struct {
	publisher *relay.Publisher // nil: there is none
	server    *Server
	name      relay.Name
	began     time.Time
	closed    bool
}

// close ends the publication, if there is one; only the first call counts.
func (in *ingest) close(clean bool) {
	if in.publisher == nil || in.closed {
		return
	}
	in.closed = true
	in.publisher.Close(clean)
	in.server.stats.Publishers.Add(-1)
}

// publish answers publish (§7.2.2.6). Its type, live, record or none, makes no
// difference. Media that comes before the answer waits in the socket.
func (s *session) publish(c command) error {
	if s.phase == phasePublish {
		return s.refuse(c.name, fmt.Errorf("%w: publish twice", errOrder))
	}
	name, query, err := s.target(c.text(1))
	if err != nil {
		return s.refuse(c.name, err)
	}
	s.name = name
	access := relay.Access{Action: relay.ActionPublish, Name: name, Protocol: s.protocol, Query: query, Remote: s.remote, UserAgent: s.agent}
	grant, err := door.Authorize(s.server.context, s.server.Authorize, access)
	if err != nil {
		return s.refuse(c.name, err)
	}
	s.user = grant.User
	course := s.course // run alone changes it
	publisher, err := s.server.Relay.Publish(name, relay.PublishOptions{
		Grant:    grant,
		Protocol: s.protocol,
		Remote:   s.remote,

		UserAgent: s.agent,

		Conn: s.conn,

		OnEnd: func(why error) { s.end(course, why) },
	})
	if err != nil {
		return s.refuse(c.name, err)
	}
	s.mu.Lock()
	course.GoLive()
	s.mu.Unlock()
	s.ingest = ingest{server: s.server, name: name, publisher: publisher, began: time.Now()}
	s.server.stats.Publishers.Add(1)
	s.server.stats.Result("publish")
	s.life(door.RolePublisher, s.ingest.began).Start()

	s.chunks.limits, s.chunks.newBuffer = limitsPublish, publisher.Buffer
	s.heartbeat = door.NewHeartbeat(s.conn, s.server.Settings.Get().PublishTimeout)
	s.begin(phasePublish, s.heartbeat.Tick)
	o := s.output()
	o.event(&message.UserCtrlEventStreamBegin{StreamID: streamID})
	o.status(levelStatus, codePublishStart, "publishing "+name.String())
	return s.write(o)
}

// unpublish ends the publication in good order: the name is free at once, and the same
// connection may publish again.
func (s *session) unpublish(o *output) {
	if s.phase != phasePublish {
		return
	}
	s.mu.Lock()
	if s.course.Phase() < door.Leaving { // the relay's end of this publication must not end the next
		s.course = &door.Course{}
	}
	s.mu.Unlock()
	s.ingest.close(true)
	s.life(door.RolePublisher, s.ingest.began).End(true, door.ResultEnded, errEnded)
	o.status(levelStatus, codeUnpublish, "unpublished "+s.ingest.name.String())
	s.ingest = ingest{}
	s.begin(phaseUnpublished, s.server.CommandTimeout)
}

// dataPayload is what is passed on of a data message (§7.1.2): what @setDataFrame
// wants set, without the wish. Nothing is read of it, and nothing that cannot be
// read ends the publication; only what is built to harm a reader does.
func dataPayload(m Message) ([]byte, error) {
	payload := unwrapAMF3(m)
	if err := guard(payload); errors.Is(err, errAMFLimit) {
		return nil, fmt.Errorf("%w: data message: %w", errProtocol, err)
	}
	if len(payload) > 0 && payload[0] == amfString {
		w := amfWalker{b: payload[1:]}
		name, err := w.short()
		switch {
		case err != nil:
		case string(name) == "@setDataFrame":
			return w.b, nil
		case string(name) == "@clearDataFrame":
			return nil, nil
		}
	}
	return payload, nil
}

// splitAggregate takes an aggregate message (§7.1.6) apart: tags as in an FLV file, each with a
// back pointer. The first one's time stands for the aggregate's own.
func splitAggregate(m Message, deliver func(Message) error) error {
	const header, pointer = 11, 4
	b := m.Payload
	offset, first := uint32(0), true
	for len(b) > 0 {
		if len(b) < header {
			return violation("aggregate message with %d bytes left over", len(b))
		}
		sub := Message{Type: message.TypeID(b[0]), Stream: m.Stream, Timestamp: be24(b[4:]) | uint32(b[7])<<24}
		size := int(be24(b[1:]))
		if b = b[header:]; len(b) < size {
			return violation("aggregate message: %d bytes for a message of %d", len(b), size)
		}
		sub.Payload, b = b[:size:size], b[size:]
		if first {
			offset, first = m.Timestamp-sub.Timestamp, false
		}
		sub.Timestamp += offset
		if sub.Type != message.TypeIDAggregateMessage {
			if err := deliver(sub); err != nil {
				return err
			}
		}
		b = b[min(pointer, len(b)):]
	}
	return nil
}
