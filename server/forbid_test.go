package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"liverelay/auth"
	"liverelay/redis/redistest"
	"liverelay/relay"
	"liverelay/room/backend"
	"liverelay/server/servertest"
	"liverelay/test/wait"
)

// openNodes starts nodes that anybody may publish to and play from, without rooms.
func openNodes(t *testing.T, redis []string) []*Server {
	t.Helper()
	cfg := oneApp()
	cfg.Apps[0].Publish, cfg.Apps[0].Play = "open", "open"
	cfg.Redis.Addrs = redis
	var nodes []*Server
	for range 1 + len(redis) {
		nodes = append(nodes, start(t, cfg))
	}
	return nodes
}

// askBackend calls a node's server API as the app's backend does, and returns its answer.
func askBackend(t *testing.T, s *Server, query string) string {
	t.Helper()
	nonce, now := auth.NewID(), fmt.Sprint(time.Now().Unix())
	_, body := servertest.Get(t, "http://"+s.Config().HTTP.Listen+"/api/?Action="+strings.ReplaceAll(query, "[]", "%5B%5D")+
		"&AppId=1&SignatureNonce="+nonce+"&Timestamp="+now+"&Signature="+backend.Signature("1", nonce, secretA, now), "")
	var reply struct{ Code int }
	if err := json.Unmarshal([]byte(body), &reply); err != nil || reply.Code != 0 {
		t.Fatalf("%s: %s", query, body)
	}
	return body
}

// openPublish publishes the stream plain, and returns once the relay has it or has refused it;
// ended is closed when the server ends it.
func openPublish(t *testing.T, s *Server) (conn net.Conn, ended chan struct{}) {
	t.Helper()
	conn, _, _, err := ws.Dial(t.Context(), "ws://"+s.Config().HTTP.Listen+"/live/plain.flv?publish=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := wsutil.WriteClientBinary(conn, media(t)); err != nil {
		t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, conn)
	}()
	wait.For(t, "the publisher has begun, or is ended", func() bool {
		select {
		case <-ended:
			return true
		default:
			st, ok := s.relay.Stream(relay.Name{App: "live", Stream: "plain"})
			return ok && st.Live
		}
	})
	return conn, ended
}

// openPlay plays it, and returns when there is media.
func openPlay(t *testing.T, s *Server) (ended chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Config().HTTP.Listen+"/live/plain.flv", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 200)); err != nil {
		t.Fatal(resp.Status, err)
	}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
	}()
	return ended
}

// TestForbiddenWithoutARoom (B6): what the backend forbids ends the media that runs and
// refuses what comes, on whatever node, whether the stream is in a room or not and
// whether its publisher is there or lost.
func TestForbiddenWithoutARoom(t *testing.T) {
	rules := map[string][2]string{
		"stream":  {"ForbidRTCStream&StreamId=plain", "ResumeRTCStream&StreamId=plain"},
		"prefix":  {"SetForbidUserRule&RuleType=1&IP=127.0.0.0/9&DisabledPrivilege[]=1&EffectiveTime=600", "DelForbidUserRule&RuleType=1&IP=127.1.2.3/9"},
		"address": {"SetForbidUserRule&RuleType=1&IP=::ffff:127.0.0.1&DisabledPrivilege[]=1&EffectiveTime=600", "DelForbidUserRule&RuleType=1&IP=127.0.0.1"},
	}
	test := func(t *testing.T, redis []string) {
		for name, rule := range rules {
			for _, lost := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, publisher lost %v", name, lost), func(t *testing.T) {
					nodes := openNodes(t, redis)
					far, near := nodes[0], nodes[len(nodes)-1]
					conn, publisher := openPublish(t, near)
					player := openPlay(t, near)
					if lost {
						tcp := conn.(*net.TCPConn)
						if err := tcp.SetLinger(0); err != nil {
							t.Fatal(err)
						}
						tcp.Close()
					}
					begin := time.Now()
					askBackend(t, far, rule[0])
					for what, ended := range map[string]chan struct{}{"publisher": publisher, "player": player} {
						select {
						case <-ended: // promised: the media in < 1 s; a socket then has 2 s to answer the goodbye
							t.Logf("the %s ended after %v", what, time.Since(begin))
						case <-time.After(40 * time.Second):
							t.Fatalf("the %s goes on", what)
						}
					}
					if resp, _ := servertest.Get(t, "http://"+near.Config().HTTP.Listen+"/live/plain.flv", ""); resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusUnauthorized {
						t.Errorf("a new player gets %s", resp.Status)
					}
					if _, _, _, err := ws.Dial(t.Context(), "ws://"+near.Config().HTTP.Listen+"/live/plain.flv?publish=1"); err == nil {
						t.Error("a new publisher is let in")
					}
					if state := askBackend(t, near, "DescribeRTCStreamState&StreamId=plain"); !strings.Contains(state, "offline") {
						t.Error(state)
					}
					askBackend(t, near, rule[1])
					openPublish(t, near)
					openPlay(t, near)
				})
			}
		}
	}
	t.Run("memory", func(t *testing.T) { test(t, nil) })
	t.Run("redis", func(t *testing.T) { test(t, []string{redistest.Start(t).Addr}) })
}
