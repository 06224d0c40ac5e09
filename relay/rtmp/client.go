package rtmp

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay/door"
	"liverelay/relay/flv"
)

// ClientConfig is how a [Client] connects. The zero value will do.
type ClientConfig struct {
	ChunkSize int           // of what it sends [DefaultChunkSize]
	Timeout   time.Duration // for the way to the first media, and of a server that cannot be reached [10s]
	TLS       *tls.Config   // for rtmps; nil: the system's roots
}

// Client pushes one stream to another RTMP server, or pulls one from it. The server itself uses
// none: end-to-end tests do (test, test/chaos), as the publisher and player that are not ffmpeg.
type Client struct {
	// static
	conn    net.Conn
	stream  string
	app     string
	tcURL   string
	publish bool
	timeout time.Duration

	received atomic.Uint64

	// owned by the reader: the caller of Read, or a goroutine of a publisher's own
	chunks      chunkReader
	transaction float64
	streamID    uint32
	pending     []Message // of an aggregate
	heartbeat   door.Heartbeat
	opened      bool // past the commands
	done        chan struct{}

	// guarded by mu: the sending half
	mu        sync.Mutex
	chunkSize int
	scratch   []byte
	err       error
	closed    bool
}

// StatusError is an error status a server answered with.
type StatusError struct {
	Code        string
	Description string
}

// Error returns the server's code and words.
func (e *StatusError) Error() string {
	return fmt.Sprintf("server says %s: %.200s", e.Code, e.Description)
}

// control does what protocol messages ask for.
func (c *Client) control(m Message) error {
	switch m.Type {
	case message.TypeIDAck:
		return controlSize(m)
	case message.TypeIDSetPeerBandwidth:
		o := c.output()
		o.control(&message.WinAckSize{Size: ackWindow})
		if err := controlSize(m); err != nil {
			return err
		}
		return c.send(o)
	case message.TypeIDWinAckSize:
		return c.chunks.acknowledgeBy(m)
	case message.TypeIDUserCtrl:
		event, value, err := userControl(m.Payload)
		if err != nil {
			return err
		}
		switch event {
		case eventPingRequest:
			o := c.output()
			o.event(&message.UserCtrlEventPingResponse{Timestamp: value})
			return c.send(o)
		case eventPingResponse:
			c.heartbeat.Answered = true
		case eventStreamEOF:
			if c.opened && !c.publish {
				return io.EOF
			}
		}
	}
	return nil
}

// quiet implements inputHook.
func (c *Client) quiet() error {
	if !c.opened {
		return os.ErrDeadlineExceeded
	}
	ping, err := c.heartbeat.Beat(c.chunks.received)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if !c.closed {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.heartbeat.Tick))
	}
	closed := c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return net.ErrClosed
	case !ping:
		return nil
	}
	o := c.output()
	o.event(&message.UserCtrlEventPingRequest{Timestamp: uint32(time.Now().UnixMilli())})
	return c.send(o)
}

// acknowledge implements inputHook.
func (c *Client) acknowledge(received uint32) error {
	o := c.output()
	o.control(&message.Ack{SequenceNumber: received})
	return c.send(o)
}

func (c *Client) output() *output {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &output{chunkSize: c.chunkSize}
}

func (c *Client) send(o *output) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writeLocked(o.bytes)
}

func (c *Client) writeLocked(b []byte) error {
	if c.opened {
		if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return err
		}
	}
	_, err := c.conn.Write(b)
	return err
}

// Write sends one message of a publisher: its timestamp in ms and its payload, which
// is not kept. It blocks while the server takes nothing, for Timeout at most. An
// error is final, and tells what the server said if it said something.
func (c *Client) Write(kind flv.Kind, timestamp uint32, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	t := typeOf(kind)
	c.scratch = c.scratch[:0]
	if kind == flv.Script {
		// A server hands on what @setDataFrame sets to players that come later.
		payload = append([]byte("\x02\x00\x0d@setDataFrame"), payload...)
	}
	c.scratch = appendChunks(c.scratch, mediaCSID(t), t, c.streamID, timestamp, payload, c.chunkSize)
	if err := c.writeLocked(c.scratch); err != nil {
		c.err = err
	}
	if cap(c.scratch) > 1<<20 {
		c.scratch = nil
	}
	return c.err
}

// listen takes what the server says to a publisher.
func (c *Client) listen() {
	defer close(c.done)
	defer c.chunks.release()
	_, err := c.read()
	if err == nil {
		err = violation("media to a publisher")
	}
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	_ = c.conn.Close() // a Write that waits fails
}

// Read returns the next message of a player. The error is io.EOF when the stream has
// ended.
func (c *Client) Read() (kind flv.Kind, timestamp uint32, payload []byte, err error) {
	m, err := c.read()
	if err != nil {
		return 0, 0, nil, err
	}
	return flv.Kind(m.Type), m.Timestamp, m.Payload, nil
}

func (c *Client) read() (Message, error) {
	for {
		if len(c.pending) > 0 {
			m := c.pending[0]
			c.pending = c.pending[1:]
			return m, nil
		}
		m, err := c.chunks.next()
		if err != nil {
			return m, noEOF(err)
		}
		switch m.Type {
		case message.TypeIDAudioMessage, message.TypeIDVideoMessage:
			return m, nil
		case message.TypeIDDataMessageAMF0, message.TypeIDDataMessageAMF3:
			m.Type = message.TypeIDDataMessageAMF0
			if m.Payload, err = dataPayload(m); err != nil {
				return m, err
			}
			if len(m.Payload) > 0 {
				return m, nil
			}
		case message.TypeIDAggregateMessage:
			c.pending = c.pending[:0]
			if err := splitAggregate(m, func(m Message) error {
				c.pending = append(c.pending, m)
				return nil
			}); err != nil {
				return m, err
			}
		case message.TypeIDCommandMessageAMF0, message.TypeIDCommandMessageAMF3:
			err = c.status(m)
		default:
			err = c.control(m)
		}
		if err != nil {
			return m, err
		}
	}
}

// status takes a command that comes while media flows.
func (c *Client) status(m Message) error {
	reply, err := parseCommand(m)
	if err != nil || reply.name != "onStatus" {
		return err
	}
	info := reply.object(1)
	switch {
	case info["level"] == levelError:
		return statusOf(info)
	case !c.publish && (info["code"] == codePlayUnpublished || info["code"] == codePlayStop):
		return io.EOF
	}
	return nil
}

// Close ends a publication in good order, or leaves the stream that plays. It
// makes a Read that waits fail.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	o := &output{chunkSize: c.chunkSize}
	if c.publish {
		o.command(0, "FCUnpublish", 0, nil, c.stream)
	}
	o.command(0, "deleteStream", 0, nil, c.streamID)
	if c.err == nil {
		c.err = net.ErrClosed
		_ = c.conn.SetWriteDeadline(time.Now().Add(lingerTimeout))
		_, _ = c.conn.Write(o.bytes)
	}
	c.mu.Unlock()
	if !c.publish {
		return c.conn.Close()
	}
	// The server must get the whole of it, seconds of media perhaps: wait for its answer or
	// its end. Closed before, what it still says would reset the connection.
	closeWrite(c.conn)
	_ = c.conn.SetReadDeadline(time.Now().Add(writeTimeout))
	<-c.done
	return nil
}
