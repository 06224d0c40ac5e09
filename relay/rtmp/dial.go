package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay/door"
)

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
	c.heartbeat = door.NewHeartbeat(c.conn, cfg.Timeout)
	_ = c.conn.SetReadDeadline(time.Now().Add(c.heartbeat.Tick))
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
	c.chunks.received, c.chunks.window = uint64(c.chunks.w-c.chunks.r), ackWindow/2
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
