package admin

import (
	"context"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"liverelay/relay"
)

// Bounds of what a node remembers of its past.
const (
	sampleEvery = 10 * time.Second
	keptSamples = int(6 * time.Hour / sampleEvery)
	keptApps    = 50 // with a history of their own; the first that are used
)

// Sample is how much there was at one time.
type Sample struct {
	Time    time.Time `json:"time" doc:"When the step began of which it is the mean"`
	Streams int       `json:"streams" doc:"That are published at the nodes that are asked"`
	Players int       `json:"players"`
	Members int       `json:"members" doc:"Of rooms, with their session at the nodes that are asked"`
	InKbps  int       `json:"in_kbps" doc:"What publishers send"`
	OutKbps int       `json:"out_kbps" doc:"What players are sent, and other nodes for theirs"`
}

// sample is one as it is kept. slot counts the intervals since 1970: 0 stands for none.
type sample struct{ slot, streams, players, members, in, out uint64 }

func (a *sample) add(b *sample) {
	a.streams += b.streams
	a.players += b.players
	a.members += b.members
	a.in += b.in
	a.out += b.out
}

// history is a node's samples: of all apps together by the name "", and of each.
type history struct {
	// guarded by mu
	mu   sync.Mutex
	of   map[string]*[keptSamples]sample
	sent map[relay.Name]uint64 // bytes to players of each stream, at the last sample
	last time.Time             // of the last sample
}

// note takes one sample.
func (h *history) note(now time.Time, streams []relay.StreamState, members map[string]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seconds := sampleEvery.Seconds()
	if !h.last.IsZero() {
		seconds = max(1, now.Sub(h.last).Seconds())
	}
	sums, sent := map[string]*sample{"": {}}, make(map[relay.Name]uint64, len(streams))
	sum := func(app string) *sample {
		if sums[app] == nil {
			sums[app] = new(sample)
		}
		return sums[app]
	}
	for i := range streams {
		st := &streams[i]
		before := h.sent[st.Name]
		if before > st.BytesOut { // another stream by now
			before = 0
		}
		sent[st.Name] = st.BytesOut
		one := sample{players: uint64(st.Viewers), out: uint64(math.Round(float64(st.BytesOut-before) / 125 / seconds))}
		if !st.Copy { // of a copy the origin tells
			one.streams, one.in = 1, uint64(st.Kbps)
		}
		sum(st.App).add(&one)
	}
	for app, n := range members {
		sum(app).add(&sample{members: uint64(n)})
	}
	h.sent, h.last = sent, now
	slot := uint64(now.Unix() / int64(sampleEvery/time.Second))
	for app, one := range sums {
		if app != "" {
			sums[""].add(one)
		}
	}
	for app, one := range sums {
		if h.of == nil {
			h.of = map[string]*[keptSamples]sample{}
		}
		if h.of[app] == nil && len(h.of) <= keptApps {
			h.of[app] = new([keptSamples]sample)
		}
		if ring := h.of[app]; ring != nil {
			one.slot = slot
			ring[slot%uint64(keptSamples)] = *one
		}
	}
}

// read returns the means of an app's samples from a time on, one for each step of so many intervals
// that has any, oldest first.
func (h *history) read(app string, from time.Time, step uint64) (list []Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ring := h.of[app]
	if ring == nil {
		return nil
	}
	interval := uint64(sampleEvery / time.Second)
	first, now := uint64(from.Unix())/interval/step*step, uint64(h.last.Unix())/interval
	first = max(first, (now-uint64(keptSamples)+step)/step*step) // a step that is forgotten in part would be wrong
	for at := first; at <= now; at += step {
		total, n := sample{}, uint64(0)
		for slot := at; slot < at+step; slot++ {
			if one := &ring[slot%uint64(keptSamples)]; one.slot == slot {
				total.add(one)
				n++
			}
		}
		if n == 0 {
			continue
		}
		mean := func(sum uint64) int { return int((sum + n/2) / n) }
		list = append(list, Sample{
			Time: time.Unix(int64(at*interval), 0).UTC(), Streams: mean(total.streams), Players: mean(total.players),
			Members: mean(total.members), InKbps: mean(total.in), OutKbps: mean(total.out),
		})
	}
	return list
}

// Run takes a sample of the node at once and every 10 s, until ctx ends. All nodes do it at the
// same moments.
func (s *Server) Run(ctx context.Context) {
	s.sample(time.Now())
	for {
		wait := time.NewTimer(time.Until(time.Now().Truncate(sampleEvery).Add(sampleEvery)))
		select {
		case now := <-wait.C:
			s.sample(now)
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

func (s *Server) sample(now time.Time) {
	members := map[string]int{}
	for _, r := range s.cfg.Rooms.Rooms() {
		members[r.App] += r.Sessions
	}
	s.history.note(now, s.cfg.Streams.Streams(), members)
}

// HistoryQuery chooses from the past.
type HistoryQuery struct {
	AppQuery
	Minutes int `query:"minutes" minimum:"1" maximum:"360" default:"360" doc:"So far back"`
	Points  int `query:"points" minimum:"1" maximum:"2160" default:"360" doc:"At most so many samples: each is the mean of a step"`
}

// step is how many of the kept samples make one of the answer.
func (q *HistoryQuery) step() int {
	all := q.Minutes * int(time.Minute/sampleEvery)
	return (all + q.Points - 1) / q.Points
}

// HistoryList is the past of the service, oldest first. Steps of which nothing is known are left
// out.
type HistoryList struct {
	History []Sample `json:"history" nullable:"false"`
	Step    int      `json:"step" doc:"Seconds from one sample to the next"`
	Missing []string `json:"missing,omitempty" doc:"Nodes that did not answer: what only they know is not here"`
}

type historyReply struct{ Body HistoryList }

func (s *Server) past() {
	s.answers["history"] = func(_ context.Context, q Query) any {
		apps := q.Apps
		if len(apps) == 0 {
			apps = []string{""}
		}
		var list []Sample
		for _, app := range apps { // who asks sums them up
			list = append(list, s.history.read(app, time.Unix(q.From, 0), uint64(max(1, q.Step)))...)
		}
		return list
	}
	register(s, operation{
		method: http.MethodGet, path: "history", id: "get-history", tag: "nodes",
		summary: "Show the last hours", description: "How many streams, players and members there were, and what they sent and were sent. A node remembers 6 hours, " +
			"since it started: a sample each 10 s.",
	}, s.getHistory)
}

func (s *Server) getHistory(ctx context.Context, q *HistoryQuery) (*historyReply, error) {
	apps := actorOf(ctx).apps
	if q.App != "" {
		if err := permit(ctx, q.App); err != nil {
			return nil, err
		}
		apps = []string{q.App}
	}
	step := q.step()
	reply := HistoryList{History: []Sample{}, Step: step * int(sampleEvery/time.Second)}
	from := time.Now().Add(-time.Duration(q.Minutes) * time.Minute).Unix()
	all, missing := everywhere[[]Sample](ctx, s, Query{What: "history", Apps: apps, From: from, Step: step})
	reply.Missing = missing
	steps := map[time.Time]Sample{}
	for _, one := range slices.Concat(all...) {
		sum := steps[one.Time]
		steps[one.Time] = Sample{
			one.Time, sum.Streams + one.Streams, sum.Players + one.Players, sum.Members + one.Members, sum.InKbps + one.InKbps, sum.OutKbps + one.OutKbps,
		}
	}
	for _, one := range steps {
		reply.History = append(reply.History, one)
	}
	slices.SortFunc(reply.History, func(a, b Sample) int { return a.Time.Compare(b.Time) })
	return &historyReply{reply}, nil
}
