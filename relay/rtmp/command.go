package rtmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// command is one decoded command message (RTMP 1.0 §7.1.1): its name, its
// transaction, and what follows; args[0] is the command object, mostly null.
type command struct {
	name        string
	transaction float64
	args        []any
}

// parseCommand decodes an AMF0 command, or one in AMF3's wrapping, whose first
// byte only says that AMF0 follows (E-RTMP, "Action Message Format"). Values that are
// really AMF3 end the list.
func parseCommand(m Message) (command, error) {
	b := unwrapAMF3(m)
	if err := guard(b); err != nil && !errors.Is(err, errAMF3) {
		return command{}, fmt.Errorf("%w: command: %w", errProtocol, err)
	}
	w := amfWalker{b: b, left: amfDecoded}
	var values []any
	for len(w.b) > 0 {
		v, err := w.decode(amfDepth)
		if errors.Is(err, errAMF3) {
			break
		}
		if err != nil {
			return command{}, fmt.Errorf("%w: command: %w", errProtocol, err)
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		return command{}, nil // nothing was said
	}
	name, ok := values[0].(string)
	if !ok {
		return command{}, violation("command without a name")
	}
	c := command{name: name}
	if len(values) > 1 {
		c.transaction, _ = values[1].(float64)
		c.args = values[2:]
	}
	return c, nil
}

// unwrapAMF3 drops the format selector of message types 15, 16 and 17.
func unwrapAMF3(m Message) []byte {
	switch m.Type {
	case message.TypeIDDataMessageAMF3, message.TypeIDSharedObjectMessageAMF3, message.TypeIDCommandMessageAMF3:
		if len(m.Payload) > 0 && m.Payload[0] == 0 {
			return m.Payload[1:]
		}
	}
	return m.Payload
}

func (c command) arg(i int) any {
	if i < len(c.args) {
		return c.args[i]
	}
	return nil
}

func (c command) text(i int) string {
	s, _ := c.arg(i).(string)
	return s
}

func (c command) object(i int) map[string]any {
	m, _ := c.arg(i).(map[string]any)
	return m
}

// values are what go-rtmp calls a body: AMF0 values one after the other.
type values []any

func (v values) FromArgs(...any) error                      { return nil }
func (v values) ToArgs(message.EncodingType) ([]any, error) { return v, nil }

// output gathers what a session says at once, as chunks.
type output struct {
	bytes     []byte
	chunkSize int
}

// command appends a command message. Its values are our own, so that encoding
// them cannot fail.
func (o *output) command(stream uint32, name string, transaction float64, args ...any) {
	body := newScratch()
	defer scratch.Put(body)
	e := message.NewAMFEncoder(body, message.EncodingTypeAMF0)
	if err := message.EncodeBodyAnyValues(e, values(args)); err != nil {
		panic(fmt.Sprintf("rtmp: encode %s: %v", name, err))
	}
	o.message(csidCommand, stream, &message.CommandMessage{
		CommandName:   name,
		TransactionID: int64(transaction),
		Encoding:      message.EncodingTypeAMF0,
		Body:          body,
	})
}

// scratch are buffers for what is copied at once: a login's answers would be most of its garbage.
var scratch = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func newScratch() *bytes.Buffer {
	b := scratch.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

// control appends a protocol control message (§5.4) or a user control message (§6.2).
func (o *output) control(m message.Message) { o.message(csidControl, 0, m) }

func (o *output) event(e message.UserCtrlEvent) { o.control(&message.UserCtrl{Event: e}) }

func (o *output) message(csid byte, stream uint32, m message.Message) {
	body := newScratch()
	defer scratch.Put(body)
	if err := message.NewEncoder(body).Encode(m); err != nil {
		panic(fmt.Sprintf("rtmp: encode %T: %v", m, err))
	}
	o.bytes = appendChunks(o.bytes, csid, m.TypeID(), stream, 0, body.Bytes(), o.chunkSize)
	if m, ok := m.(*message.SetChunkSize); ok {
		o.chunkSize = int(m.ChunkSize)
	}
}

// status appends onStatus (§7.2.2). Codes at level "error" end the session.
func (o *output) status(level, code, description string) {
	o.command(streamID, "onStatus", 0, nil, map[string]any{"level": level, "code": code, "description": description})
}

const (
	levelStatus = "status"
	levelError  = "error"
)

// User control events (§7.1.7).
const (
	eventStreamEOF    = 1
	eventPingRequest  = 6
	eventPingResponse = 7
)

// userControl reads a user control message; value is only there for events with
// one, which are those that matter.
func userControl(b []byte) (event uint16, value uint32, err error) {
	if len(b) < 2 {
		return 0, 0, violation("user control message with %d bytes", len(b))
	}
	event = binary.BigEndian.Uint16(b)
	if len(b) >= 6 {
		return event, binary.BigEndian.Uint32(b[2:]), nil
	}
	if event == eventPingRequest || event == eventPingResponse {
		return 0, 0, violation("ping with %d bytes", len(b))
	}
	return event, 0, nil
}

// Acknowledgement windows (§5.4.4). Ours is what most servers say. A peer may want
// acknowledgements more often, within reason: an answer per few bytes would only
// be a way to make us work.
const (
	ackWindow    = 2_500_000
	minAckWindow = 8 << 10
)

// acknowledgeBy takes a peer's Window Acknowledgement Size: bytes are acknowledged at half of it,
// before the peer has to wait.
func (in *input) acknowledgeBy(m Message) error {
	if len(m.Payload) < 4 {
		return violation("Window Acknowledgement Size with %d bytes", len(m.Payload))
	}
	in.window = min(max(binary.BigEndian.Uint32(m.Payload)/2, minAckWindow), ackWindow/2)
	return nil
}

// controlSize checks the control messages that are read for their size only.
func controlSize(m Message) error {
	want := 0
	switch m.Type {
	case message.TypeIDAck:
		want = 4
	case message.TypeIDSetPeerBandwidth:
		want = 5
	}
	if len(m.Payload) < want {
		return violation("message of type %d with %d bytes", m.Type, len(m.Payload))
	}
	return nil
}

// E-RTMP v2, "Enhancing NetConnection connect Command": we pass on every codec
// as it is (CanForward), and multitrack, ModEx and nanosecond offsets with it.
const (
	canForward     = 0x04
	capsReconnect  = 0x01
	capsMultitrack = 0x02
	capsModEx      = 0x04
	capsNanoOffset = 0x08
)

// Further flags of connect: what a peer can do with a codec (FourCcInfoMask), and with video
// (videoFunction).
const (
	canDecode        = 0x01
	functionHDR      = 0x02
	functionMetadata = 0x04
)

// announced returns the form of media that a peer says in connect it knows: capsEx for multitrack
// and ModEx, fourCcList and the maps for codecs by FourCC.
func announced(request map[string]any) flv.Form {
	var f flv.Form
	list, _ := request["fourCcList"].([]any)
	video, _ := request["videoFourCcInfoMap"].(map[string]any)
	audio, _ := request["audioFourCcInfoMap"].(map[string]any)
	knows := func(codecs map[string]any, codec string) bool {
		flags, _ := codecs[codec].(float64)
		return slices.Contains(list, any(codec)) || flagsOf(flags)&(canDecode|canForward) != 0
	}
	f.AVC = knows(video, "*") || knows(video, "avc1")
	f.Audio = knows(audio, "*") || knows(audio, "mp4a")
	f.Opus = knows(audio, "*") || knows(audio, "Opus")
	f.Beside = len(list) > 0 || len(video) > 0 || len(audio) > 0
	caps, _ := request["capsEx"].(float64)
	f.Tracks = flagsOf(caps)&capsMultitrack != 0
	f.ModEx = flagsOf(caps)&capsModEx != 0
	function, _ := request["videoFunction"].(float64)
	f.Beside = f.Beside || flagsOf(function)&(functionHDR|functionMetadata) != 0
	return f
}

// flagsOf is a bit mask that AMF carries as a number, which may be any.
func flagsOf(v float64) uint32 {
	if v >= 0 && v < 1<<32 {
		return uint32(v)
	}
	return 0
}

// connectResult answers connect (§7.2.1.1). A peer that says what it can do in E-RTMP
// terms is told the same of us.
func connectResult(request map[string]any) (properties, info map[string]any) {
	properties = map[string]any{"fmsVer": "FMS/3,5,7,7009", "capabilities": 31, "mode": 1}
	enhanced := false
	for _, key := range []string{"fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"} {
		if _, ok := request[key]; ok {
			enhanced = true
		}
	}
	if enhanced {
		any4CC := map[string]any{"*": canForward}
		properties["videoFourCcInfoMap"] = any4CC
		properties["audioFourCcInfoMap"] = any4CC
		properties["capsEx"] = capsReconnect | capsMultitrack | capsModEx | capsNanoOffset
		if _, ok := request["fourCcList"]; ok {
			properties["fourCcList"] = []any{"*"}
		}
	}
	return properties, map[string]any{
		"level":          levelStatus,
		"code":           "NetConnection.Connect.Success",
		"description":    "Connection succeeded.",
		"objectEncoding": 0,
	}
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
	s.mu.Lock()
	s.moves = canReconnect(request)
	s.mu.Unlock()
	properties, info := connectResult(request)
	o.command(0, "_result", c.transaction, properties, info)
	s.begin(phaseCommand, s.server.CommandTimeout)
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
