package server

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"liverelay/relay"
	"liverelay/relay/door"
	"liverelay/relay/socket"
	"liverelay/server/servertest"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

// toy is a whole new protocol, made by the steps of ARCHITECTURE, "Add a protocol": a line of text
// for each message, at /{app}/{stream}.txt.
type toy struct {
	relay     *relay.Relay
	settings  *door.Settings
	authorize relay.Authorizer
	format    *relay.Format
	counters  door.Counters

	over context.Context // ends with Close
	end  context.CancelFunc
	wait sync.WaitGroup // players; server.Close has closed the listeners before
}

// Step 1: the wire form, made once a message and shared by all players.
func toyLine(m *relay.Message, timestamp uint32) []byte {
	return fmt.Appendf(nil, "%d %d %d\n", m.Kind, timestamp, len(m.Payload))
}

// Step 4: the entry in the list of doors.
func toyDoor(s *Server) part {
	t := &toy{relay: s.relay, settings: &s.settings, authorize: s.keeper.Authorize, format: relay.NewFormat("toy", toyLine)}
	t.over, t.end = context.WithCancel(context.Background())
	return part{name: "toy", close: t.Close, stats: t.Stats, routes: t.Routes(), players: []string{"toy"}}
}

// Step 3: the shape of a door.
func (t *toy) Routes() []door.Route {
	return []door.Route{{Handler: t, Plays: func(*http.Request) bool { return true }, Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".txt") }}}
}

func (t *toy) Stats() door.Stats { return t.counters.Stats(0, t.format) }

func (t *toy) Close(context.Context) error {
	t.end()
	t.wait.Wait()
	return nil
}

// Step 2: from a request to a subscriber. Names, grants, refusals and counters are the same at
// every door.
func (t *toy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := t.play(w, r); err != nil {
		o := door.OutcomeOf(err)
		t.counters.Result(o.Result)
		door.Refuse(w, o.Status, o.Text)
	}
}

func (t *toy) play(w http.ResponseWriter, r *http.Request) error {
	app, stream, _ := strings.Cut(strings.Trim(strings.TrimSuffix(r.URL.Path, ".txt"), "/"), "/")
	name, err := relay.ParseName(app, stream)
	if err != nil {
		return err
	}
	query := relay.ParseQuery(r.URL.RawQuery)
	options, err := relay.ParsePlayOptions(query, t.settings.Get().Start)
	if err != nil {
		return err
	}
	grant, err := door.Authorize(r.Context(), t.authorize, relay.Access{Name: name, Protocol: "toy", Query: query})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	sub, err := t.relay.Subscribe(r.Context(), name, relay.SubscribeOptions{
		Grant: grant, Protocol: "toy", Format: t.format, Options: options, OnEnd: func(err error) { ended <- err },
	})
	if err != nil {
		return err
	}
	defer sub.Close()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	t.wait.Add(1)
	defer t.wait.Done()
	t.counters.Result("play")
	t.counters.Player("toy", 1)
	defer t.counters.Player("toy", -1)
	_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"))
	sub.Start(socket.NewSink(conn))
	select {
	case err = <-ended:
	case <-t.over.Done():
		err = relay.ErrClosed
	}
	t.counters.Result(door.OutcomeOf(err).Result)
	return nil
}

// A new protocol is a package and one entry: it plays what others publish, refuses as they do, is
// counted, and is closed with the server.
func TestToyDoor(t *testing.T) {
	cfg := oneApp()
	cfg.Apps[0].Publish, cfg.Apps[0].Play = "open", "open"
	cfg.Relay.PlayWait = 100 * time.Millisecond
	s, err := newServer(t.Context(), Options{Config: cfg, Log: &proc.Output{}}, append(doors[:len(doors):len(doors)], toyDoor))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Start()
	at := "http://" + s.Config().HTTP.Listen
	for path, want := range map[string]string{"/live/none.txt": `404 {"error":"no such stream"}`, "/other/s.txt": `403 {"error":"access denied"}`, "/live/../x.txt": `400 {"error":"bad stream name`} {
		if resp, body := servertest.Get(t, at+path, ""); !strings.HasPrefix(fmt.Sprint(resp.StatusCode, " ", body), want) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	openPublish(t, s)
	resp, err := http.Get(at + "/live/plain.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for range 3 {
		if !lines.Scan() || len(strings.Fields(lines.Text())) != 3 {
			t.Fatalf("a line %q, %v", lines.Text(), lines.Err())
		}
	}
	wait.For(t, "the door's counters", func() bool {
		got := s.parts[len(doors)+1].stats()
		return got.Players["toy"] == 1 && got.Messages >= 3 && got.Results["not_found"] == 1 && got.Results["denied"] == 1
	})
	s.Close()
	wait.For(t, "the player's end", func() bool { return !lines.Scan() })
	http.DefaultClient.CloseIdleConnections()
}
