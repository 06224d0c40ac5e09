package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay/flv"
)

// ClientConfig is how a [Client] connects. The zero value will do.
type ClientConfig struct {
	ChunkSize int           // of what it sends [DefaultChunkSize]
	Timeout   time.Duration // for the way to the first media, and of a server that cannot be reached [10s]
	TLS       *tls.Config   // for rtmps; nil: the system's roots
}

// Client pushes one stream to another RTMP server, or pulls one from it.
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
	heartbeat   heartbeat
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

// DialPublish connects to rtmp[s]://host[:port]/app/stream[?query] and publishes the stream.
func DialPublish(ctx context.Context, rawURL string, cfg ClientConfig) (*Client, error) {
	return dial(ctx, rawURL, cfg, true)
}

// DialPlay connects to rtmp[s]://host[:port]/app/stream[?query] and plays the stream.
func DialPlay(ctx context.Context, rawURL string, cfg ClientConfig) (*Client, error) {
	return dial(ctx, rawURL, cfg, false)
}

func dial(ctx context.Context, rawURL string, cfg ClientConfig, publish bool) (*Client, error) {
	if cfg.ChunkSize <= 0 || cfg.ChunkSize > maxChunkSize {
		cfg.ChunkSize = DefaultChunkSize
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	c := &Client{publish: publish, timeout: cfg.Timeout, chunkSize: defaultChunkSize, done: make(chan struct{})}
	u, err := c.parse(rawURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	if c.conn, err = connect(ctx, u, cfg.TLS); err != nil {
		return nil, fmt.Errorf("dial %s: %w", u.Host, err)
	}
	// The context's end cuts whatever waits for the server.
	cut := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	c.chunks.open(c.conn, c, &c.received, limitsPublish)
	err = c.open(cfg.ChunkSize)
	if !cut() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		_ = c.conn.Close()
		c.chunks.release()
		return nil, fmt.Errorf("%s rtmp://%s/%s/%s: %w", c.verb(), u.Host, c.app, strings.SplitN(c.stream, "?", 2)[0], err)
	}
	_ = c.conn.SetDeadline(time.Time{})
	c.opened = true
	c.heartbeat = newHeartbeat(c.conn, cfg.Timeout)
	_ = c.conn.SetReadDeadline(time.Now().Add(c.heartbeat.tick))
	if publish {
		go c.listen()
	}
	return c, nil
}

func (c *Client) verb() string {
	if c.publish {
		return "publish"
	}
	return "play"
}

// parse splits the URL. All but the last part of the path is the app.
func (c *Client) parse(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("malformed RTMP URL") // without the URL: it may hold a token
	}
	path := strings.Trim(u.Path, "/")
	i := strings.LastIndexByte(path, '/')
	if u.Scheme != "rtmp" && u.Scheme != "rtmps" || u.Hostname() == "" || i < 1 {
		return nil, errors.New("RTMP URL: want rtmp[s]://host[:port]/app/stream")
	}
	c.app, c.stream = path[:i], path[i+1:]
	if u.RawQuery != "" {
		c.stream += "?" + u.RawQuery
	}
	c.tcURL = u.Scheme + "://" + u.Host + "/" + c.app
	if u.Port() == "" {
		port := "1935"
		if u.Scheme == "rtmps" {
			port = "443"
		}
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

func connect(ctx context.Context, u *url.URL, config *tls.Config) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil || u.Scheme == "rtmp" {
		return conn, err
	}
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = u.Hostname()
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// open goes the way to the first media: handshake, connect, createStream, and
// publish or play with its status.
func (c *Client) open(chunkSize int) error {
	if err := clientHandshake(&c.chunks.input, c.conn); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.chunks.received, c.chunks.window = 0, ackWindow/2
	request := map[string]any{
		"app": c.app, "tcUrl": c.tcURL, "flashVer": "FMLE/3.0 (compatible; liverelay)", "fpad": false, "capabilities": 15, "audioCodecs": 4071, "videoCodecs": 252, "videoFunction": 1,
		"fourCcList": []any{"*"}, "videoFourCcInfoMap": map[string]any{"*": canForward}, "audioFourCcInfoMap": map[string]any{"*": canForward},
		"capsEx": capsMultitrack | capsModEx | capsNanoOffset,
	}
	if c.publish {
		request["type"] = "nonprivate"
	}
	o := c.output()
	if chunkSize != defaultChunkSize {
		o.control(&message.SetChunkSize{ChunkSize: uint32(chunkSize)})
	}
	c.transaction++
	o.command(0, "connect", c.transaction, request)
	c.chunkSize = o.chunkSize
	if err := c.send(o); err != nil {
		return err
	}
	if _, err := c.result(c.transaction); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	o = c.output()
	if c.publish {
		o.command(0, "releaseStream", c.transaction+1, nil, c.stream)
		o.command(0, "FCPublish", c.transaction+2, nil, c.stream)
		c.transaction += 2
	}
	c.transaction++
	o.command(0, "createStream", c.transaction, nil)
	if err := c.send(o); err != nil {
		return err
	}
	reply, err := c.result(c.transaction)
	if err != nil {
		return fmt.Errorf("createStream: %w", err)
	}
	id, _ := reply.arg(1).(float64)
	c.streamID = uint32(id)
	o = c.output()
	c.transaction++
	want := codePublishStart
	if c.publish {
		o.command(c.streamID, "publish", c.transaction, nil, c.stream, "live")
	} else {
		want = codePlayStart
		o.command(c.streamID, "play", c.transaction, nil, c.stream, -2000)
		o.event(&message.UserCtrlEventSetBufferLength{StreamID: c.streamID, LengthMs: 1000})
	}
	if err := c.send(o); err != nil {
		return err
	}
	return c.await(want)
}

// result waits for the reply to a transaction.
func (c *Client) result(transaction float64) (command, error) {
	for {
		reply, err := c.nextCommand()
		if err != nil {
			return command{}, err
		}
		if reply.transaction != transaction {
			continue
		}
		switch reply.name {
		case "_result":
			return reply, nil
		case "_error":
			return command{}, statusOf(reply.object(1))
		}
	}
}

// await waits for a status.
func (c *Client) await(code string) error {
	for {
		reply, err := c.nextCommand()
		if err != nil {
			return err
		}
		if reply.name != "onStatus" {
			continue
		}
		info := reply.object(1)
		if info["level"] == levelError {
			return statusOf(info)
		}
		if info["code"] == code {
			return nil
		}
	}
}

func statusOf(info map[string]any) error {
	code, _ := info["code"].(string)
	description, _ := info["description"].(string)
	return &StatusError{code, description}
}

// nextCommand reads up to the next command. Media has no business before it.
func (c *Client) nextCommand() (command, error) {
	for {
		m, err := c.chunks.next()
		if err != nil {
			return command{}, noEOF(err)
		}
		switch m.Type {
		case message.TypeIDCommandMessageAMF0, message.TypeIDCommandMessageAMF3:
			return parseCommand(m)
		}
		if err := c.control(m); err != nil {
			return command{}, err
		}
	}
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
		window, err := peerWindow(m.Payload)
		if err == nil {
			c.chunks.window = window
		}
		return err
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
			c.heartbeat.answered = true
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
	ping, err := c.heartbeat.beat(c.chunks.received)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if !c.closed {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.heartbeat.tick))
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
	// The server must get the whole of it: wait for its answer or its end.
	closeWrite(c.conn)
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	<-c.done
	return nil
}
