// Package roomtest has what tests of rooms need: a node of the service on a free
// port, and a client that speaks PROTOCOL.md and keeps the view a member has.
package roomtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// User, Stream and the types below are PROTOCOL.md's.
type User struct {
	ID   string `json:"userID"`
	Name string `json:"userName"`
}

// Stream is one announced stream.
type Stream struct {
	ID    string `json:"streamID"`
	User  User   `json:"user"`
	Extra string `json:"extraInfo"`
}

// Extra is one key of the room's extra info.
type Extra struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Message is a broadcast or barrage.
type Message struct {
	From User            `json:"fromUser"`
	Text string          `json:"message"`
	ID   json.RawMessage `json:"messageID"`
}

// Snapshot is a whole room.
type Snapshot struct {
	Users   []User   `json:"users"`
	Count   int      `json:"userCount"`
	Streams []Stream `json:"streams"`
	Extra   []Extra  `json:"roomExtraInfo"`
}

// Frame is any reply or event, hence its many fields.
type Frame struct {
	ID    int64 `json:"id"`
	Error *struct {
		Code      int    `json:"code"`
		Msg       string `json:"msg"`
		Retryable bool   `json:"retryable"`
		After     int64  `json:"after"`
	} `json:"error"`
	Type    string `json:"type"`
	Room    string `json:"room"`
	Seq     int64  `json:"seq"`
	Update  string `json:"update"`
	Session string `json:"session"`
	Resumed bool   `json:"resumed"`
	Expires int    `json:"tokenExpires"`
	Beat    int    `json:"heartbeat"`

	Snapshot *Snapshot `json:"snapshot"`
	Users    []User    `json:"users"`
	Streams  []Stream  `json:"streams"`
	Reasons  []struct {
		ID   string `json:"streamID"`
		Code int    `json:"code"`
	} `json:"reasons"`
	Extra    []Extra   `json:"extraInfo"`
	Messages []Message `json:"messages"`
	From     User      `json:"fromUser"`
	Message  string    `json:"message"`
	StreamID string    `json:"streamID"`
	State    string    `json:"state"`
	Code     int       `json:"code"`
	ErrCode  int       `json:"errorCode"`
	Custom   string    `json:"custom"`
	Count    int       `json:"count"`
	Seconds  int       `json:"seconds"`
	Within   int64     `json:"within"`
	URL      string    `json:"url"`
	Failed   []string  `json:"failed"`
	SendTime int64     `json:"sendTime"`

	MessageID json.RawMessage `json:"messageID"`
	URLs      struct {
		RTMP []string `json:"rtmp"`
		FLV  []string `json:"flv"`
		WS   []string `json:"ws"`
	} `json:"urls"`

	At time.Time `json:"-"` // when it was read
}

// MessageSeq is the messageID of a reliable message: its sequence.
func (f *Frame) MessageSeq() int64 {
	id := f.MessageID
	if len(f.Messages) > 0 {
		id = f.Messages[0].ID
	}
	n, _ := strconv.ParseInt(string(id), 10, 64)
	return n
}

// View is what one member knows of one room. It holds the protocol to its promise:
// what is sequenced comes once and in order. Violations are collected in Wrong.
type View struct {
	Room     string
	Session  string
	Seq      int64
	Began    int64             // seq of the latest snapshot: messages before it may not have come
	Users    map[string]string // id -> name
	Streams  map[string]Stream
	Extra    map[string]string
	Messages []string // sequenced ones, in order
	Kicked   int
	Wrong    []string
}

func newView(room string) *View {
	return &View{Room: room, Users: map[string]string{}, Streams: map[string]Stream{}, Extra: map[string]string{}}
}

func (v *View) wrong(format string, args ...any) {
	if len(v.Wrong) < 20 {
		v.Wrong = append(v.Wrong, fmt.Sprintf(format, args...))
	}
}

func (v *View) replace(s *Snapshot, seq int64) {
	v.Seq, v.Began = seq, seq
	v.Users, v.Streams, v.Extra = map[string]string{}, map[string]Stream{}, map[string]string{}
	for _, u := range s.Users {
		v.Users[u.ID] = u.Name
	}
	for _, st := range s.Streams {
		v.Streams[st.ID] = st
	}
	for _, x := range s.Extra {
		v.Extra[x.Key] = x.Value
	}
}

func (v *View) apply(f *Frame) {
	if f.Type == "kicked" {
		v.Kicked = f.Code
	}
	if f.Seq == 0 {
		return
	}
	if f.Type == "snapshot" {
		v.replace(f.Snapshot, f.Seq)
		return
	}
	if f.Seq <= v.Seq {
		v.wrong("seq %d (%s %s) after %d", f.Seq, f.Type, f.Update, v.Seq)
	}
	v.Seq = f.Seq
	switch f.Type {
	case "userUpdate":
		for _, u := range f.Users {
			name, known := v.Users[u.ID]
			switch {
			case f.Update == "ADD" && known && name == u.Name:
				v.wrong("seq %d: user %s came twice", f.Seq, u.ID)
			case f.Update == "DELETE" && !known:
				v.wrong("seq %d: user %s left twice", f.Seq, u.ID)
			}
			if f.Update == "ADD" {
				v.Users[u.ID] = u.Name
			} else {
				delete(v.Users, u.ID)
			}
		}
	case "streamUpdate", "streamExtraInfo":
		v.applyStreams(f)
	case "roomExtraInfo":
		for _, x := range f.Extra {
			if x.Value == "" {
				delete(v.Extra, x.Key)
			} else {
				v.Extra[x.Key] = x.Value
			}
		}
	case "broadcast":
		for _, m := range f.Messages {
			v.Messages = append(v.Messages, m.Text)
		}
	case "custom":
		v.Messages = append(v.Messages, "custom:"+f.Message)
	}
}

func (v *View) applyStreams(f *Frame) {
	for _, s := range f.Streams {
		old, known := v.Streams[s.ID]
		switch {
		case f.Type == "streamExtraInfo" && known:
			old.Extra = s.Extra
			v.Streams[s.ID] = old
		case f.Type == "streamExtraInfo":
			v.wrong("seq %d: extra info of unknown stream %s", f.Seq, s.ID)
		case f.Update == "ADD":
			if known {
				v.wrong("seq %d: stream %s came twice", f.Seq, s.ID)
			}
			v.Streams[s.ID] = s
		default:
			if !known {
				v.wrong("seq %d: stream %s left twice", f.Seq, s.ID)
			}
			delete(v.Streams, s.ID)
		}
	}
}

// String is the view in one line, for comparisons.
func (v *View) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(v.Users)) {
		fmt.Fprintf(&b, "u:%s=%s ", id, v.Users[id])
	}
	for _, id := range slices.Sorted(maps.Keys(v.Streams)) {
		s := v.Streams[id]
		fmt.Fprintf(&b, "s:%s=%s,%s ", id, s.User.ID, s.Extra)
	}
	for _, k := range slices.Sorted(maps.Keys(v.Extra)) {
		fmt.Fprintf(&b, "x:%s=%s ", k, v.Extra[k])
	}
	return b.String()
}

// Client is one signalling connection.
type Client struct {
	ws *websocket.Conn

	mu      sync.Mutex
	id      int64
	replies map[int64]chan *Frame
	views   map[string]*View
	frames  []*Frame // events, in order, up to a limit
	keep    int
	err     error
	changed chan struct{} // closed and replaced whenever a frame came
	done    chan struct{}
	onEvent func(*Frame)
}

// Dial connects to a node's /signal.
func Dial(ctx context.Context, url string) (*Client, error) {
	ws, resp, err := websocket.Dial(ctx, url, nil)
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	return Wrap(ws), nil
}

// Wrap makes a client of a connection.
func Wrap(ws *websocket.Conn) *Client {
	ws.SetReadLimit(64 << 20)
	c := &Client{ws: ws, replies: map[int64]chan *Frame{}, views: map[string]*View{}, keep: 4096, changed: make(chan struct{}), done: make(chan struct{})}
	go c.read()
	return c
}

// OnEvent has f called for every event, before it is kept. Call it before a login.
func (c *Client) OnEvent(f func(*Frame)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onEvent, c.keep = f, 0
}

func (c *Client) read() {
	defer close(c.done)
	for {
		_, data, err := c.ws.Read(context.Background())
		f := &Frame{At: time.Now()}
		if err == nil {
			err = json.Unmarshal(data, f)
		}
		c.mu.Lock()
		if err != nil {
			c.err = err
			for id, ch := range c.replies {
				close(ch)
				delete(c.replies, id)
			}
			close(c.changed)
			c.changed = make(chan struct{})
			c.mu.Unlock()
			_ = c.ws.CloseNow()
			return
		}
		c.note(f)
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// note handles one frame. c.mu is held.
func (c *Client) note(f *Frame) {
	if f.Type == "" {
		if f.Session != "" { // a login reply: it begins, or continues, a view
			v := c.views[f.Room]
			if v == nil {
				v = newView(f.Room)
				c.views[f.Room] = v
			}
			v.Session, v.Kicked = f.Session, 0
			if f.Snapshot != nil {
				v.replace(f.Snapshot, f.Seq)
			} else if f.Seq != v.Seq {
				v.wrong("resumed at %d, was at %d", f.Seq, v.Seq)
			}
		}
		if ch := c.replies[f.ID]; ch != nil {
			ch <- f
			delete(c.replies, f.ID)
		}
		return
	}
	if v := c.views[f.Room]; v != nil {
		v.apply(f)
	}
	if c.onEvent != nil {
		c.onEvent(f)
	}
	if len(c.frames) < c.keep {
		c.frames = append(c.frames, f)
	}
}

// M is a request's fields.
type M map[string]any

// ErrLost is returned when the connection ended before the reply.
var ErrLost = errors.New("connection lost")

// Do sends a request and waits for its reply. A refusal is a reply with an Error.
func (c *Client) Do(ctx context.Context, typ string, fields M) (*Frame, error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, ErrLost
	}
	c.id++
	id := c.id
	ch := make(chan *Frame, 1)
	c.replies[id] = ch
	c.mu.Unlock()
	req := maps.Clone(fields)
	if req == nil {
		req = M{}
	}
	req["id"], req["type"] = id, typ
	data, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if err := c.ws.Write(ctx, websocket.MessageText, data); err != nil {
		return nil, ErrLost
	}
	select {
	case f, ok := <-ch:
		if !ok {
			c.mu.Lock()
			defer c.mu.Unlock()
			return nil, fmt.Errorf("%w: %w", ErrLost, c.err)
		}
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Send writes a raw frame.
func (c *Client) Send(ctx context.Context, raw string) error {
	return c.ws.Write(ctx, websocket.MessageText, []byte(raw))
}

// SendBinary writes a binary frame.
func (c *Client) SendBinary(ctx context.Context, raw []byte) error {
	return c.ws.Write(ctx, websocket.MessageBinary, raw)
}

// View returns a copy of the client's view of a room, nil before the login.
func (c *Client) View(room string) *View {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.views[room]
	if v == nil {
		return nil
	}
	cp := *v
	cp.Users, cp.Streams, cp.Extra = maps.Clone(v.Users), maps.Clone(v.Streams), maps.Clone(v.Extra)
	cp.Messages, cp.Wrong = slices.Clone(v.Messages), slices.Clone(v.Wrong)
	return &cp
}

// Adopt continues the view another connection had: what a client does on reconnect.
func (c *Client) Adopt(v *View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.views[v.Room] = v
}

// Wait waits until cond holds for the events so far and returns true, or ctx ends.
func (c *Client) Wait(ctx context.Context, cond func(events []*Frame) bool) bool {
	for {
		c.mu.Lock()
		ok, changed, err := cond(c.frames), c.changed, c.err
		c.mu.Unlock()
		if ok {
			return true
		}
		if err != nil {
			return false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// Event waits for the first event of a type that pred (nil: any) takes.
func (c *Client) Event(ctx context.Context, typ string, pred func(*Frame) bool) *Frame {
	var found *Frame
	c.Wait(ctx, func(events []*Frame) bool {
		for _, f := range events {
			if f.Type == typ && (pred == nil || pred(f)) {
				found = f
				return true
			}
		}
		return false
	})
	return found
}

// Events returns a copy of the events so far.
func (c *Client) Events() []*Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// CloseCode waits for the connection's end and returns its close code, -1 for none.
func (c *Client) CloseCode(ctx context.Context) int {
	select {
	case <-c.done:
	case <-ctx.Done():
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(websocket.CloseStatus(c.err))
}

// Alive reports whether the connection has not ended.
func (c *Client) Alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// Drop cuts the connection without a word.
func (c *Client) Drop() {
	_ = c.ws.CloseNow()
	<-c.done
}

// Close says goodbye.
func (c *Client) Close() {
	_ = c.ws.Close(websocket.StatusNormalClosure, "")
	<-c.done
}
