package server

import (
	"maps"
	"net/http/httptest"
	"slices"
	"testing"

	"liverelay/config"
	"liverelay/relay/rtmp"
	"liverelay/test/proc"
)

func idleServer(t *testing.T) *Server {
	t.Helper()
	s, err := New(t.Context(), Options{Config: oneApp(), Log: &proc.Output{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Only who plays, and follows a redirect, is sent to another node while this one drains: the door
// says which requests these are.
func TestOnlyPlayersAreSentElsewhere(t *testing.T) {
	s := idleServer(t)
	for _, c := range []struct {
		method, path, upgrade string
		plays                 bool
	}{
		{"GET", "/live/a.flv", "", true},
		{"HEAD", "/live/a.flv", "", false},
		{"GET", "/live/a.flv", "websocket", false},
		{"POST", "/live/a/whep", "", true},
		{"POST", "/live/a/whip", "", false},
		{"OPTIONS", "/live/a/whep", "", false},
		{"PATCH", "/live/a/whep/1", "", false},
		{"DELETE", "/live/a/whep/1", "", false},
		{"GET", "/signal", "websocket", false},
		{"POST", "/api/whep", "", false},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.upgrade != "" {
			r.Header.Set("Upgrade", c.upgrade)
		}
		plays := false
		for _, p := range s.parts {
			for _, route := range p.routes {
				plays = plays || route.Match != nil && route.Match(r) && route.Plays != nil && route.Plays(r)
			}
		}
		if plays != c.plays {
			t.Errorf("%s %s %s: %t", c.method, c.path, c.upgrade, plays)
		}
	}
}

// Metrics have the players of each door's protocols before the first one comes, so that a rule of
// an operator finds them.
func TestMetricsKnowTheDoorsProtocols(t *testing.T) {
	players := map[string]float64{}
	idleServer(t).relay.Measure(func(name, _ string, value float64, labels ...string) {
		if name == "players" {
			players[labels[1]] = value
		}
	})
	want := map[string]float64{"rtmp": 0, "rtmps": 0, "http-flv": 0, "ws-flv": 0, "whep": 0}
	if !maps.Equal(players, want) {
		t.Errorf("%v, want %v", slices.Collect(maps.Keys(players)), slices.Collect(maps.Keys(want)))
	}
}

// The configuration imports no door, so it has the default of this one by heart.
func TestDefaultChunkSizeIsTheDoors(t *testing.T) {
	if got := config.Default().RTMP.ChunkSize; got != rtmp.DefaultChunkSize {
		t.Errorf("rtmp.chunk_size %d, the door's is %d", got, rtmp.DefaultChunkSize)
	}
}
