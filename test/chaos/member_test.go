package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"liverelay/auth"
	"liverelay/room"
	"liverelay/room/roomtest"
)

const (
	memberPause = 300 * time.Millisecond // before a member connects again
	memberTime  = 10 * time.Second       // for one request
	pingEvery   = 10 * time.Second
)

// member is one in a room, that comes back with its session whenever its connection is lost.
type member struct {
	room, user, url string
	stop            context.CancelFunc
	done            chan struct{}

	// guarded by mu
	mu     sync.Mutex
	client *roomtest.Client // nil: it is not logged in
	view   *roomtest.View   // of the connection before
	faults []string
	cuts   int
	fresh  int // logins that began anew: it was taken for gone
	leaves bool
}

func enter(room, user, url string) *member {
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{room: room, user: user, url: url, stop: cancel, done: make(chan struct{})}
	go m.run(ctx)
	return m
}

// leave logs out.
func (m *member) leave() {
	m.mu.Lock()
	c := m.client
	m.leaves = true // who has logged out does not come back, whatever becomes of its connection
	m.mu.Unlock()
	if c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), memberTime)
		_, _ = c.Do(ctx, "logout", roomtest.M{"room": m.room})
		cancel()
	}
	m.stop()
	<-m.done
}

func (m *member) run(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		if c := m.login(ctx); c != nil {
			m.stay(ctx, c)
		}
		select {
		case <-ctx.Done():
		case <-time.After(memberPause):
		}
	}
}

func (m *member) wrong(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.faults) < 5 {
		m.faults = append(m.faults, fmt.Sprintf(format, args...))
	}
}

// login returns a connection that is logged in; nil: not yet.
func (m *member) login(ctx context.Context) *roomtest.Client {
	ctx, cancel := context.WithTimeout(ctx, memberTime)
	defer cancel()
	token, err := auth.GenerateToken04(1, m.user, appSecret, time.Hour, "")
	if err != nil {
		m.wrong("token: %v", err)
		return nil
	}
	c, err := roomtest.Dial(ctx, m.url)
	if err != nil {
		return nil
	}
	request := roomtest.M{"appID": 1, "room": m.room, "user": m.user, "token": token, "config": roomtest.M{"userUpdate": true}}
	m.mu.Lock()
	before, leaves := m.view, m.leaves
	m.mu.Unlock()
	if leaves {
		c.Drop()
		return nil
	}
	if before != nil {
		c.Adopt(before)
		request["resume"] = roomtest.M{"session": before.Session, "seq": before.Seq}
	}
	f, err := c.Do(ctx, "login", request)
	switch {
	case err != nil:
		c.Drop()
		return nil
	case f.Error != nil:
		if !f.Error.Retryable {
			m.wrong("login: %d %s", f.Error.Code, f.Error.Msg)
			m.mu.Lock()
			m.view = nil
			m.mu.Unlock()
		}
		c.Drop()
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if before != nil && !f.Resumed {
		m.fresh++
	}
	m.client = c
	return c
}

// stay keeps the connection until it ends, or the member is to go.
func (m *member) stay(ctx context.Context, c *roomtest.Client) {
	pinged := time.Now()
	for ctx.Err() == nil && c.Alive() {
		if time.Since(pinged) > pingEvery {
			pinged = time.Now()
			_ = c.Send(ctx, `{"type":"ping"}`)
		}
		time.Sleep(20 * time.Millisecond)
	}
	view := c.View(m.room)
	c.Drop()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client, m.view = nil, view
	if ctx.Err() == nil {
		m.cuts++
	}
	m.keepLocked(view)
}

// keepLocked keeps what a view has found wrong.
func (m *member) keepLocked(view *roomtest.View) {
	if view == nil {
		return
	}
	for _, w := range view.Wrong {
		if len(m.faults) < 5 {
			m.faults = append(m.faults, w)
		}
	}
	if view.Kicked != 0 && view.Kicked != int(room.CodeReplaced) {
		m.faults = append(m.faults, fmt.Sprintf("kicked: %d", view.Kicked))
	}
}

// sees returns what the member knows of its room; nil: it is not there now.
func (m *member) sees() *roomtest.View {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil || !m.client.Alive() {
		return nil
	}
	return m.client.View(m.room)
}

// do sends a request; false: it was not done.
func (m *member) do(typ string, fields roomtest.M) (*roomtest.Frame, bool) {
	m.mu.Lock()
	c := m.client
	m.mu.Unlock()
	if c == nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), memberTime)
	defer cancel()
	f, err := c.Do(ctx, typ, fields)
	return f, err == nil && f.Error == nil
}

func (m *member) result() (faults []string, cuts, fresh int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil {
		m.keepLocked(m.client.View(m.room))
	}
	return m.faults, m.cuts, m.fresh
}
