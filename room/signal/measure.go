package signal

import (
	"slices"
	"sync/atomic"

	"liverelay/measure"
)

// stats are counters since the start.
type stats struct {
	requests, errors, sent, slow, floods, refused atomic.Uint64

	took [len(requestTypes) + 1]measure.Histogram // by type; the last is of all others
}

// requestTypes are those that are measured one by one. All others wait for nothing, or are what a
// client made up: no metric is named after that.
var requestTypes = [...]string{
	"login", "logout", "publish", "play", "stopPublish", "stopPlay", "broadcast", "barrage", "custom", "streamExtraInfo", "roomExtraInfo", "renewToken",
}

// took counts how long a request took, until its reply was queued.
func (s *Server) took(req *request) {
	i := slices.Index(requestTypes[:], req.Type)
	if i < 0 {
		i = len(requestTypes)
	}
	s.stats.took[i].Observe(s.cfg.Now().Sub(req.came))
}

// Stats is a snapshot of the server's counters, for metrics.
type Stats struct {
	Connections                          int
	Requests, Errors, Events             uint64
	SlowClients, Floods, RefusedConnects uint64
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	return Stats{
		Connections: int(s.admitted.Load()), Requests: s.stats.requests.Load(), Errors: s.stats.errors.Load(), Events: s.stats.sent.Load(),
		SlowClients: s.stats.slow.Load(), Floods: s.stats.floods.Load(), RefusedConnects: s.stats.refused.Load(),
	}
}

// Measure reports what an operator's metrics say of the server: a name, what it means, a value, and
// labels with their values in turn. A name that ends in _total only grows.
func (s *Server) Measure(add func(name, help string, value float64, labels ...string)) {
	st := s.Stats()
	add("signal_connections", "Signalling connections now.", float64(st.Connections))
	add("signal_requests_total", "Requests of signalling clients.", float64(st.Requests))
	add("signal_errors_total", "Requests of signalling clients that failed.", float64(st.Errors))
	add("signal_events_total", "Events sent to signalling clients.", float64(st.Events))
	for _, c := range []struct {
		why string
		n   uint64
	}{{"slow", st.SlowClients}, {"flood", st.Floods}, {"refused", st.RefusedConnects}} {
		add("signal_closed_total", "Signalling connections that were closed or refused, by reason.", float64(c.n), "reason", c.why)
	}
}

// MeasureDurations reports histograms: upper bounds in seconds, counts of each bucket and of what
// lies above the last, the sum, and labels with their values in turn.
func (s *Server) MeasureDurations(add func(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)) {
	for i := range s.stats.took {
		kind := "other"
		if i < len(requestTypes) {
			kind = requestTypes[i]
		}
		bounds, counts, sum := s.stats.took[i].ReadCoarse()
		add("signal_request_seconds", "How long requests of signalling clients took until their reply was queued, by type.", bounds, counts, sum, "type", kind)
	}
}
