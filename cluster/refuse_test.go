package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"liverelay/relay"
	"liverelay/test/wait"
)

var absent = relay.Name{App: "live", Stream: "demo"}

// refusing is a node that others ask, and its log.
func refusing(t *testing.T) (n *Node, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	n = New(Config{
		Info: Info{ID: "n", Address: "n.example:7000"}, Secrets: []string{"secret"}, Directory: NewMemory(),
		Log: slog.New(slog.NewTextHandler(log, nil)),
		ServeCopy: func(w http.ResponseWriter, _ *http.Request, _ relay.Name) {
			t.Error("a pull was served")
			w.WriteHeader(http.StatusTeapot)
		},
	})
	n.relay = relay.New(relay.Config{})
	n.cfg.Info.Address = "n.example:7000"
	t.Cleanup(func() {
		ctx := wait.Context(t)
		_, _ = n.Close(ctx), n.relay.Close(ctx)
	})
	return n, log
}

// What is not in order is refused, with one line and a counter, and nothing else is disturbed.
func TestBadRequestsAreRefused(t *testing.T) {
	peer := Info{ID: "p", Boot: "b", Address: "p.example:7000"}
	pull := "/node/pull?app=live&stream=demo&epoch=1"
	for _, test := range []struct {
		name    string
		from    Info
		path    string
		prepare func(n *Node, s *signer, r *http.Request)
		to      string
		status  int
		reason  string
	}{
		{name: "wrong signature", prepare: func(_ *Node, s *signer, _ *http.Request) { s.secrets = []string{"other"} }, status: 403, reason: reasonSignature},
		{name: "no signature", prepare: func(_ *Node, s *signer, _ *http.Request) { s.secrets = nil }, status: 403, reason: reasonSignature},
		{name: "old", prepare: func(_ *Node, s *signer, _ *http.Request) {
			s.now = func() time.Time { return time.Now().Add(-2 * maxSkew) }
		}, status: 403, reason: reasonStamp},
		{name: "replayed", prepare: func(n *Node, s *signer, r *http.Request) {
			nonce, _ := s.sign(r, peer, "n.example:7000")
			_ = n.signer.once(nonce, time.Now())
		}, status: 403, reason: reasonReplay},
		{name: "for another node", to: "m.example:7000", status: 403, reason: reasonTo},
		{name: "a node with our id", from: Info{ID: "n", Boot: "b", Address: "m.example:7000"}, status: 409, reason: reasonSameID},
		{name: "a node with the id of another", from: Info{ID: "p", Boot: "c", Address: "m.example:7000"}, prepare: func(n *Node, _ *signer, _ *http.Request) {
			n.table.peers["p"] = peerOf(peer)
			n.table.peers["p"].alive = true
		}, status: 409, reason: reasonSameID},
		{name: "a stream that is not there", path: pull, status: 404, reason: reasonNone},
		{name: "a stream of a later epoch", path: pull, prepare: func(n *Node, _ *signer, _ *http.Request) {
			n.table.set(absent, func(fact, bool) fact { return fact{Epoch: 0, Origin: true} })
		}, status: 404, reason: reasonNone},
		{name: "a stream that has moved", path: pull, prepare: func(n *Node, _ *signer, _ *http.Request) {
			n.table.set(absent, func(fact, bool) fact { return fact{Epoch: 7, Moved: true} })
		}, status: 404, reason: reasonNone},
		{name: "a copy of a copy", path: pull, prepare: func(n *Node, _ *signer, _ *http.Request) {
			n.table.set(absent, func(fact, bool) fact { return fact{Epoch: 1} })
		}, status: 508, reason: reasonLoop},
		{name: "its own stream", path: pull, from: Info{ID: "n"}, prepare: func(n *Node, _ *signer, _ *http.Request) {
			n.table.set(absent, func(fact, bool) fact { return fact{Epoch: 1, Origin: true} })
		}, status: 508, reason: reasonLoop},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, log := refusing(t)
			path, from, to := test.path, test.from, test.to
			if path == "" {
				path = "/node/ping"
			}
			if from == (Info{}) {
				from = peer
			} else if from.Boot == "" {
				from.Boot = n.cfg.Info.Boot
			}
			if to == "" {
				to = "n.example:7000"
			}
			ask := func() int {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				s := newSigner([]string{"secret"})
				if test.prepare != nil {
					test.prepare(n, s, r)
				}
				if len(s.secrets) > 0 && r.Header.Get(headerSignature) == "" {
					if _, err := s.sign(r, from, to); err != nil {
						t.Fatal(err)
					}
				}
				w := httptest.NewRecorder()
				n.Handler().ServeHTTP(w, r)
				return w.Code
			}
			for range 3 {
				if status := ask(); status != test.status {
					t.Errorf("answered %d, want %d", status, test.status)
				}
			}
			if got := n.Stats().Refused; len(got) != 1 || got[test.reason] != 3 {
				t.Errorf("counted %v, want %s", got, test.reason)
			}
			if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "reason="+test.reason) {
				t.Errorf("%d lines:\n%s", lines, log)
			}
		})
	}
}

// peerOf is a node as the table has it.
func peerOf(info Info) *peer {
	return &peer{info: info, facts: map[relay.Name]fact{}, stop: func() {}}
}

// A node that says an epoch of the far future is not believed: else no epoch would come after it.
func TestNodeThatLiesAboutItsEpoch(t *testing.T) {
	n, log := refusing(t)
	far := uint64(time.Now().UnixMilli()) + 2*maxAhead
	ours := newSigner([]string{"secret"})
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request) {
		_, nonce, _ := strings.Cut(r.Header.Get(headerStamp), ".")
		ours.prove(w.Header(), nonce)
	}
	mux.HandleFunc("/node/link", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r)
		_ = json.NewEncoder(w).Encode(message{Begins: true, Complete: true, Info: Info{ID: "p"}, Facts: []fact{
			{Name: absent, Epoch: far, Origin: true}, {Name: relay.Name{App: "live", Stream: "honest"}, Epoch: 7, Origin: true},
		}})
	})
	mux.HandleFunc("/node/pull", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r)
		w.Header().Set(headerEpoch, fmt.Sprint(far))
		w.Header().Set(headerClock, "0")
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	n.table.peers["p"] = peerOf(Info{ID: "p", Address: address})
	if err := n.listen(wait.Context(t), "p", address); err == nil {
		t.Error("the link did not end")
	}
	if epoch := n.table.epoch(absent); epoch != 0 {
		t.Errorf("epoch %d is believed", epoch)
	}
	if origin, _ := n.Where(relay.Name{App: "live", Stream: "honest"}); origin != "p" {
		t.Errorf("the other stream is at %q: a lie disturbs it", origin)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e := &edge{node: n, name: absent, ctx: ctx, cancel: cancel}
	if err := e.pull(place{fact: fact{Name: absent, Epoch: 1}, node: Info{ID: "p", Address: address}}); !errors.Is(err, errEpoch) {
		t.Errorf("a pull of it: %v", err)
	}
	if got := n.Stats().Refused[reasonEpoch]; got != 2 {
		t.Errorf("counted %d times", got)
	}
	if lines := strings.Count(log.String(), "reason=epoch"); lines != 1 {
		t.Errorf("%d lines:\n%s", lines, log)
	}
}
