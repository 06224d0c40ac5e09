package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"liverelay/relay"
)

// TestHistoryIsTheMeanOfEachStep: a node's samples, by app and in all, and no more than are kept.
func TestHistoryIsTheMeanOfEachStep(t *testing.T) {
	h := &history{}
	begin := time.Unix(1_800_000_000, 0) // where a step of a minute begins
	for i := range 12 {
		h.note(begin.Add(time.Duration(i)*sampleEvery), []relay.StreamState{
			{Name: relay.Name{App: "live", Stream: "a"}, Viewers: i, Kbps: 1000, BytesOut: uint64(i) * 1250},
			{Name: relay.Name{App: "live", Stream: "b"}, Viewers: 1, Kbps: 700, Copy: true},
			{Name: relay.Name{App: "other", Stream: "c"}, Viewers: 1, Kbps: 500},
		}, map[string]int{"live": 2, "third": 1})
	}
	for app, want := range map[string]string{
		"":       "0:2/5/3/1500/1 60:2/11/3/1500/1",
		"live":   "0:1/4/2/1000/1 60:1/10/2/1000/1",
		"other":  "0:1/1/0/500/0 60:1/1/0/500/0",
		"third":  "0:0/0/1/0/0 60:0/0/1/0/0",
		"nobody": "",
	} {
		var got []string
		for _, s := range h.read(app, begin.Add(-time.Hour), 6) {
			got = append(got, fmt.Sprintf("%d:%d/%d/%d/%d/%d", s.Time.Unix()-begin.Unix(), s.Streams, s.Players, s.Members, s.InKbps, s.OutKbps))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", app, text, want)
		}
	}
	if list := h.read("", begin.Add(time.Minute), 1); len(list) != 6 || list[0].Players != 8 {
		t.Errorf("the last minute: %+v", list)
	}
	for i := range keptSamples + 100 {
		h.note(begin.Add(time.Duration(i)*sampleEvery), nil, map[string]int{fmt.Sprint(i): 1})
	}
	if list := h.read("", begin, 1); len(list) != keptSamples || list[0].Time != begin.Add(100*sampleEvery).UTC() {
		t.Errorf("%d samples, from %v", len(list), list[0].Time)
	}
	if len(h.of) != keptApps+1 {
		t.Errorf("%d apps", len(h.of))
	}
}

// TestHistoryOfTheService sums what the nodes say, for the apps of the token.
func TestHistoryOfTheService(t *testing.T) {
	asked := make(chan Query, 8)
	c := start(t, newFake(), func(cfg *Config) {
		cfg.Peers = peersFunc(func(_ context.Context, q Query) ([]Answer, []string) {
			asked <- q
			body, err := json.Marshal([]Sample{{Time: time.Unix(q.From, 0).Truncate(time.Hour).UTC(), Players: 40}})
			if err != nil {
				t.Error(err)
			}
			return []Answer{{Node: "n2", Body: body}}, []string{"n3"}
		})
	})
	now := time.Now()
	c.server.sample(now)
	var list HistoryList
	c.get("/api/v1/history?minutes=60&points=60", &list)
	if n := len(list.History); n != 2 || list.Step != 60 || list.History[0].Players != 40 || list.History[1].Players != 3 ||
		list.History[1].Streams != 2 || list.History[1].Members != 1 || list.History[1].InKbps != 900 || len(list.Missing) != 1 {
		t.Errorf("%+v", list)
	}
	if q := <-asked; q.Step != 6 || now.Unix()-q.From < 3600 {
		t.Errorf("%+v", q)
	}
	_, body, _ := c.ask("GET", "/api/v1/history", testTokens["some"], nil, nil)
	if err := json.Unmarshal([]byte(body), &list); err != nil || list.History[1].Streams != 1 {
		t.Errorf("a token of one app: %s", body)
	}
	if q := <-asked; !slices.Equal(q.Apps, []string{"live"}) {
		t.Errorf("%+v", q)
	}
	if status, _, _ := c.ask("GET", "/api/v1/history?app=other", testTokens["some"], nil, nil); status != 403 {
		t.Errorf("another app: %d", status)
	}
}

func TestRunTakesSamplesUntilItIsStopped(t *testing.T) {
	c := start(t, newFake(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { c.server.Run(ctx); close(done) }()
	deadline := time.Now().Add(time.Minute)
	for {
		var list HistoryList
		if c.get("/api/v1/history", &list); len(list.History) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no sample")
		}
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	<-done
}

// TestAnotherNodeIsDrained: the order reaches the node that it names, and no other.
func TestAnotherNodeIsDrained(t *testing.T) {
	var orders []Query
	f := newFake()
	c := start(t, f, func(cfg *Config) {
		cfg.Peers = peersFunc(func(_ context.Context, q Query) ([]Answer, []string) {
			orders = append(orders, q)
			return []Answer{{Node: "n2", Body: json.RawMessage(fmt.Sprint(q.ID == "n2"))}}, nil
		})
	})
	for path, want := range map[string]int{"drain": 204, "undrain?node=n2&reason=why": 204, "drain?node=n9": 404} {
		if status, body, _ := c.ask("POST", "/api/v1/"+path, testTokens["operator"], nil, nil); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if len(orders) != 2 || len(f.kicked) != 1 || f.kicked[0] != "drain" {
		t.Errorf("asked %+v, done here %v", orders, f.kicked)
	}
	for _, q := range orders {
		if q.What == "undrain" && q.Reason != "why" {
			t.Errorf("%+v", q)
		}
	}
}

func TestWhoAmI(t *testing.T) {
	c := start(t, newFake(), nil)
	for name, want := range map[string]string{
		"viewer": `{"name":"v","role":"viewer","apps":[],"node":"n1","version":"v1"}`,
		"some":   `{"name":"s","role":"operator","apps":["live"],"node":"n1","version":"v1"}`,
	} {
		if _, body, _ := c.ask("GET", "/api/v1/me", testTokens[name], nil, nil); strings.TrimSpace(body) != want {
			t.Errorf("%s: %s", name, body)
		}
	}
}

// peersFunc is the other nodes.
type peersFunc func(context.Context, Query) ([]Answer, []string)

func (f peersFunc) Ask(ctx context.Context, q Query) ([]Answer, []string) { return f(ctx, q) }
