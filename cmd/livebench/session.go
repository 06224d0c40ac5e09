package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// session is a protocol's client side without its socket: bytes in, bytes out. The same code serves
// players in the epoll loop and publishers that block.
type session interface {
	open()             // puts the first bytes out
	feed([]byte) error // takes what the server sent
	unsent() []byte    // gives what is to be sent, once
	ready() bool       // the stream plays, or may be published
	beat() []byte      // a sign of life that may be sent at any time while bytes are drained unread, or nil
}

type wire struct {
	out     []byte
	started bool
}

func (w *wire) unsent() []byte { b := w.out; w.out = nil; return b }
func (w *wire) ready() bool    { return w.started }

// newSession returns a session for e. Media goes to the receiver.
func newSession(e endpoint, publish bool, to receiver) session {
	if e.scheme == "rtmp" {
		return newRTMPSession(e, publish, to)
	}
	return &httpSession{endpoint: e, publish: publish, to: to}
}

// rtmpSession is RTMP's client: simple handshake, connect, createStream, publish or play.
type rtmpSession struct {
	wire
	endpoint endpoint
	publish  bool
	to       receiver
	reader   *chunkReader
	shake    []byte // S0 S1 S2 as far as they came; nil afterwards
	stream   uint32
	window   uint64 // the server wants to hear every so many bytes how far we are
}

const (
	shakeSize    = 1536
	shakeReply   = 1 + 2*shakeSize
	pushChunk    = 4096
	videoChunkID = 6
	audioChunkID = 4
)

func newRTMPSession(e endpoint, publish bool, to receiver) *rtmpSession {
	s := &rtmpSession{endpoint: e, publish: publish, to: to}
	s.reader = newChunkReader(s)
	return s
}

func (s *rtmpSession) open() {
	s.shake = make([]byte, 0, shakeReply)
	s.out = append(make([]byte, 0, 1+shakeSize), 3, 0, 0, 0, 0, 0, 0, 0, 0) // C0, then C1 with version 0: simple
	s.out = append(s.out, filler(shakeSize-8)...)
}

func (s *rtmpSession) feed(b []byte) error {
	if s.shake != nil {
		n := min(shakeReply-len(s.shake), len(b))
		s.shake = append(s.shake, b[:n]...)
		if b = b[n:]; len(s.shake) < shakeReply {
			return nil
		}
		s.out = append(s.out, s.shake[1:1+shakeSize]...) // C2 echoes S1
		s.shake = nil
		s.connect()
	}
	return s.reader.feed(b)
}

func (s *rtmpSession) connect() {
	var a amfWriter
	a.str("connect")
	a.num(1)
	pairs := []any{"app", s.endpoint.app(), "flashVer", "LNX 9,0,124,2", "tcUrl", "rtmp://" + s.endpoint.host + "/" + s.endpoint.app()}
	if s.publish {
		pairs = append(pairs, "type", "nonprivate")
		s.out = appendMessage(s.out, 2, 1, 0, 0, binary.BigEndian.AppendUint32(nil, pushChunk), 128)
	} else {
		pairs = append(pairs, "capabilities", 15.0, "audioCodecs", 4071.0, "videoCodecs", 252.0, "videoFunction", 1.0)
	}
	a.object(pairs...)
	s.command(0, a.b)
}

func (s *rtmpSession) command(stream uint32, payload []byte) {
	chunk := 128
	if s.publish {
		chunk = pushChunk
	}
	s.out = appendMessage(s.out, 3, 20, stream, 0, payload, chunk)
}

// message is called by the chunk reader.
func (s *rtmpSession) message(kind byte, head []byte, size int) error {
	switch kind {
	case kindAudio, kindVideo, kindScript:
		if kind != kindScript {
			s.started = true
		}
		return s.to.message(kind, head, size)
	case 5: // Window Acknowledgement Size, RTMP 1.0 §5.4.4
		if len(head) >= 4 {
			s.window = uint64(binary.BigEndian.Uint32(head))
		}
	case 4: // User Control, RTMP 1.0 §7.1.7: answer a ping
		if len(head) >= 6 && head[1] == 6 {
			s.out = append(s.out, controlMessage(4, append([]byte{0, 7}, head[2:6]...))...)
		}
	case 17, 20:
		if kind == 17 && len(head) > 0 {
			head = head[1:]
		}
		values, err := readAMF(head)
		if err != nil && len(values) < 2 {
			return err
		}
		return s.reply(values)
	}
	return nil
}

// reply handles a command of the server's: results of ours, and onStatus.
func (s *rtmpSession) reply(values []any) error {
	if len(values) == 0 {
		return nil
	}
	name, _ := values[0].(string)
	switch name {
	case "_error":
		return statusOf(values).err()
	case "_result":
		transaction, _ := values[1].(float64)
		switch transaction {
		case 1:
			s.create()
		case 4:
			id, _ := values[len(values)-1].(float64)
			s.stream = uint32(id)
			s.begin()
		}
	case "onStatus":
		switch status := statusOf(values); {
		case status["level"] == "error" || status["code"] == "NetStream.Play.StreamNotFound":
			return status.err()
		case status["code"] == "NetStream.Play.Start" || status["code"] == "NetStream.Publish.Start":
			s.started = true
		}
	}
	return nil
}

// status is the object in a server's answer that says what became of a command (RTMP 1.0 §7.2.1.1,
// §7.2.2).
type status map[string]any

func statusOf(values []any) status {
	for _, v := range values {
		if m, ok := v.(map[string]any); ok && (m["code"] != nil || m["level"] != nil) {
			return m
		}
	}
	return nil
}

func (s status) err() error {
	if s == nil {
		return errors.New("refused without a reason")
	}
	return fmt.Errorf("refused: %v (%v)", s["code"], s["description"])
}

func (s *rtmpSession) create() {
	named := func(name string, transaction float64) {
		var a amfWriter
		a.str(name)
		a.num(transaction)
		a.null()
		if name != "createStream" {
			a.str(s.endpoint.stream())
		}
		s.command(0, a.b)
	}
	if s.publish {
		named("releaseStream", 2)
		named("FCPublish", 3)
	}
	named("createStream", 4)
}

func (s *rtmpSession) begin() {
	var a amfWriter
	if s.publish {
		a.str("publish")
	} else {
		a.str("play")
	}
	a.num(5)
	a.null()
	a.str(s.endpoint.stream())
	if s.publish {
		a.str("live")
	}
	s.command(s.stream, a.b)
	if !s.publish { // SetBufferLength, RTMP 1.0 §7.1.7: 100 ms
		s.out = append(s.out, controlMessage(4, []byte{0, 3, 0, 0, 0, byte(s.stream), 0, 0, 0, 100})...)
	}
}

// beat is a ping's answer without the ping.
func (s *rtmpSession) beat() []byte { return controlMessage(4, []byte{0, 7, 0, 0, 0, 0}) }

// acknowledgement says how many bytes have come (RTMP 1.0 §5.4.3).
func acknowledgement(received uint64) []byte {
	return controlMessage(3, binary.BigEndian.AppendUint32(nil, uint32(received)))
}

func controlMessage(kind byte, payload []byte) []byte {
	return appendMessage(nil, 2, kind, 0, 0, payload, 128)
}

// httpSession is FLV over HTTP or WebSocket: playing, and a push to the floor.
type httpSession struct {
	wire
	endpoint endpoint
	publish  bool
	to       receiver
	head     []byte
	next     feeder
}

const httpHeadLimit = 8 << 10

func (s *httpSession) open() {
	method := "GET"
	if s.endpoint.scheme == "raw" {
		method, s.started = "PUT", true
	}
	s.out = fmt.Appendf(nil, "%s /%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: livebench\r\n", method, s.endpoint.path, s.endpoint.host)
	if s.endpoint.scheme == "ws" {
		s.out = append(s.out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: bGl2ZXJlbGF5LWJlbmNoIQ==\r\n"...)
	}
	s.out = append(s.out, "\r\n"...)
}

func (s *httpSession) feed(b []byte) error {
	if s.next != nil {
		return s.next.feed(b)
	}
	s.head = append(s.head, b...)
	end := bytes.Index(s.head, []byte("\r\n\r\n"))
	if end < 0 {
		if len(s.head) > httpHeadLimit {
			return fmt.Errorf("reply's head is longer than %d bytes", httpHeadLimit)
		}
		return nil
	}
	first, fields, _ := strings.Cut(string(s.head[:end]), "\r\n")
	want, flv := " 200", feeder(newFLVReader(s.to))
	if s.endpoint.scheme == "ws" {
		want = " 101"
		flv = &frameReader{to: flv, reply: func(b []byte) { s.out = append(s.out, b...) }}
	} else if strings.Contains(strings.ToLower(fields), "transfer-encoding: chunked") {
		flv = &dechunker{to: flv}
	}
	if !strings.Contains(first, want) {
		return fmt.Errorf("refused: %s", first)
	}
	rest := s.head[end+4:]
	s.next, s.started, s.head = flv, true, nil
	return s.next.feed(rest)
}

func (s *httpSession) beat() []byte {
	if s.endpoint.scheme == "ws" {
		return clientFrame(10, nil) // an unsolicited pong, RFC 6455 §5.5.3
	}
	return nil
}
