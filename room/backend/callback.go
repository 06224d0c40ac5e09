package backend

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"liverelay/auth"
	"liverelay/room"
)

const (
	maxCallbacks       = 10000 // waiting, all rooms
	maxCallbacksRoom   = 1000  // waiting, one room
	callbacksAtOnce    = 32
	callbackTimeout    = 5 * time.Second
	callbackReplyBytes = 4 << 10
)

// callbacks tells apps' backends what happens in rooms: ordered per room, each until
// it is answered or its tries are used up, and never in the rooms' way.
type callbacks struct {
	server *Server
	client *http.Client
	slots  chan struct{}
	sent   atomic.Uint64
	lost   atomic.Uint64

	mu      sync.Mutex
	chains  map[room.Key]*chain
	waiting int
	hurry   chan struct{} // closed: no more waits between tries
	hurried bool
}

// chain is one room's callbacks, oldest first.
type chain struct{ items []callback }

type callback struct {
	url   string
	event string
	body  []byte
}

func newCallbacks(s *Server) *callbacks {
	return &callbacks{
		server: s, slots: make(chan struct{}, callbacksAtOnce), chains: map[room.Key]*chain{}, hurry: make(chan struct{}),
		client: &http.Client{
			Timeout:   callbackTimeout,
			Transport: http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}
}

// CallbackSignature is the lowercase SHA-1 of secret, timestamp and nonce, sorted
// and joined.
func CallbackSignature(secret, timestamp, nonce string) string {
	parts := []string{secret, timestamp, nonce}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

func (c *callbacks) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// add queues one event of a room.
func (c *callbacks) add(key room.Key, event string, fields map[string]any) {
	app, ok := c.server.cfg.App(0, key.App)
	if !ok || app.Callback == "" {
		return
	}
	secret := app.CallbackSecret
	if secret == "" && len(app.Secrets) > 0 {
		secret = app.Secrets[0]
	}
	timestamp, nonce := strconv.FormatInt(c.server.cfg.Now().Unix(), 10), auth.NewID()
	fields["event"], fields["appid"], fields["timestamp"], fields["nonce"] = event, strconv.FormatUint(uint64(app.ID), 10), timestamp, nonce
	fields["signature"] = CallbackSignature(secret, timestamp, nonce)
	fields["room_id"] = key.Room
	body, err := json.Marshal(fields)
	if err != nil {
		return // cannot be: strings and numbers
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.chains[key]
	if c.waiting >= maxCallbacks || ch != nil && len(ch.items) >= maxCallbacksRoom {
		c.lose(key, event, "queue full")
		return
	}
	c.waiting++
	cb := callback{app.Callback, event, body}
	if ch != nil {
		ch.items = append(ch.items, cb)
		return
	}
	ch = &chain{items: []callback{cb}}
	c.chains[key] = ch
	if !c.server.running.Go(func() { c.run(key, ch) }) {
		delete(c.chains, key)
		c.waiting--
		c.lose(key, event, "shutting down")
	}
}

func (c *callbacks) lose(key room.Key, event, why string) {
	c.lost.Add(1)
	c.server.cfg.Log.Error("callback lost", "room", key, "event", event, "why", why)
}

// run sends one room's callbacks until none is left.
func (c *callbacks) run(key room.Key, ch *chain) {
	for {
		c.mu.Lock()
		if len(ch.items) == 0 {
			delete(c.chains, key)
			c.mu.Unlock()
			return
		}
		cb := ch.items[0]
		ch.items = ch.items[1:]
		c.mu.Unlock()
		err := c.deliver(cb)
		c.mu.Lock()
		c.waiting--
		c.mu.Unlock()
		if err != nil {
			c.lose(key, cb.event, err.Error())
		} else {
			c.sent.Add(1)
		}
	}
}

// deliver tries until the backend answers 2xx.
func (c *callbacks) deliver(cb callback) error {
	err := c.post(cb)
	for _, wait := range c.server.cfg.CallbackRetry {
		if err == nil {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-c.hurry:
			return fmt.Errorf("shutting down after: %w", err)
		}
		err = c.post(cb)
	}
	return err
}

func (c *callbacks) post(cb callback) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.server.ctx.Done():
		return c.server.ctx.Err()
	}
	defer func() { <-c.slots }()
	ctx, cancel := context.WithTimeout(c.server.ctx, callbackTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cb.url, bytes.NewReader(cb.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, callbackReplyBytes))
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("backend answers %s", resp.Status)
	}
	return nil
}

// drain gives what waits a last chance until ctx ends. What is between two tries is
// tried no more.
func (c *callbacks) drain(ctx context.Context) {
	c.mu.Lock()
	if !c.hurried {
		c.hurried = true
		close(c.hurry)
	}
	c.mu.Unlock()
	for c.pending() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	c.client.CloseIdleConnections()
}

// observe takes what happens to rooms.
func (c *callbacks) observe(e room.RoomEvent) {
	name, ch := e.Name(), e.Change
	var f map[string]any
	switch name {
	case "room_create":
		f = map[string]any{"room_session_id": e.Incarnation, "room_create_time": e.Time, "id_name": e.Room}
	case "room_close":
		if e.Quiet {
			return
		}
		reason := 0
		if ch != nil {
			reason = logoutReason(ch)
		}
		f = map[string]any{"room_session_id": e.Incarnation, "close_reason": min(reason, 3), "room_close_time": e.Time}
	case "room_login":
		f = userFields(e)
		f["login_time"], f["relogin"], f["auth_level"], f["callback_data"] = ch.Member.Login, btoi(!ch.Shown), 4, ""
	case "room_logout":
		f = userFields(e)
		f["login_time"], f["logout_time"], f["reason"] = ch.Member.Login, ch.Time, logoutReason(ch)
	case "stream_create":
		f = streamFields(e)
		f["create_time"], f["create_time_ms"], f["recreate"] = ch.Stream.Created/1000, ch.Stream.Created, 0
	case "stream_close":
		f = streamFields(e)
		f["type"], f["third_define_data"], f["destroy_timemillis"] = closeType(ch.Reason), "", ch.Time
	default:
		return
	}
	c.add(e.Key, name, f)
}

// logoutReason: 0 normal, 1 heartbeat timeout, 2 connection lost, 3 kicked, 4 token expired.
func logoutReason(ch *room.Change) int {
	switch {
	case ch.Code == room.CodeTokenExpired:
		return 4
	case ch.Code != 0:
		return 3
	case ch.Reason == room.ReasonHeartbeat:
		return 1
	case ch.Reason == room.ReasonLost:
		return 2
	}
	return 0
}

// closeType: 0 normal, 1 heartbeat, 2 relogin, 3 kick, 4 connection lost, 100 removed by the API.
func closeType(why room.Reason) int {
	switch why {
	case room.ReasonHeartbeat:
		return 1
	case room.ReasonRelogin:
		return 2
	case room.ReasonKicked:
		return 3
	case room.ReasonLost:
		return 4
	case room.ReasonRemoved:
		return 100
	}
	return 0
}

func streamFields(e room.RoomEvent) map[string]any {
	s := e.Change.Stream
	none := []string{}
	return map[string]any{
		"room_session_id": e.Incarnation, "user_id": s.User.ID, "user_name": s.User.Name, "channel_id": s.ID,
		"stream_id": s.ID, "stream_sid": e.Incarnation + "-" + strconv.FormatInt(s.Created, 10), "title": "", "stream_alias": s.ID,
		"stream_attr": `{"cid":0}`, "stream_seq": e.Change.Seq, "extra_info": s.Extra, "publish_id": s.User.ID, "publish_name": s.User.Name,
		"rtmp_url": none, "hls_url": none, "hdl_url": none, "pic_url": none,
	}
}

func userFields(e room.RoomEvent) map[string]any {
	m := e.Change.Member
	return map[string]any{
		"room_name": e.Room, "room_seq": e.Incarnation, "room_session_id": e.Incarnation, "user_account": m.User.ID,
		"user_nickname": m.User.Name, "session_id": room.MediaSession(m.Session), "user_role": 2, "user_update_seq": e.Change.Seq,
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
