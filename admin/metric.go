package admin

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// What /metrics tells. No label holds a stream's, user's or room's name: their
// number has no bound, and a time series each would fill the memory of both sides.
var (
	buildInfo     = desc("build_info", "Always 1; the label is the version.", "version")
	streamsDesc   = desc("streams", "Streams by state: live, idle or waiting for their publisher.", "state")
	playersDesc   = desc("players", "Players now, by protocol.", "protocol")
	ingestDesc    = desc("ingest_bits_per_second", "What all publishers send now.")
	openDesc      = desc("connections_open", "Connections now, of all doors.")
	resultDesc    = desc("connections_total", "Connections and requests by how they went.", "door", "result")
	receivedDesc  = desc("received_bytes_total", "Bytes from clients, by door.", "door")
	sentDesc      = desc("sent_bytes_total", "Bytes to clients, by door.", "door")
	refusalDesc   = desc("refusals_total", "Publishing and playing refused, by reason.", "reason")
	roomsDesc     = desc("rooms", "Rooms in use on this node.")
	membersDesc   = desc("room_members", "Members of rooms, of this node.")
	signalDesc    = desc("signal_connections", "Signalling connections now.")
	callbackDesc  = desc("callbacks_total", "Calls of the app's backend, by result.", "result")
	dropsDesc     = desc("dropped_messages_total", "Messages not delivered to a player, by reason.", "reason")
	keptDesc      = desc("ring_bytes", "Memory in which streams keep their last keyframe and all since.")
	cutsDesc      = desc("ring_cuts_total", "Streams cut to their newest second, to fit relay.ring_memory.")
	descriptions  = []*prometheus.Desc{buildInfo, streamsDesc, playersDesc, ingestDesc, openDesc, resultDesc, receivedDesc, sentDesc, refusalDesc, dropsDesc, keptDesc, cutsDesc, roomsDesc, membersDesc, signalDesc, callbackDesc}
	streamsStates = []string{"live", "idle", "waiting"}
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("liverelay_"+name, help, labels, nil)
}

// metrics returns the handler of /metrics.
func (s *Server) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{s},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: 4, // each walks over all streams
		Timeout:             10 * time.Second,
	})
}

// collector asks the relay when it is scraped: nothing is counted twice.
type collector struct{ *Server }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(buildInfo, 1, c.cfg.Version)

	states, players, kbps := map[string]int{}, map[string]int{"rtmp": 0, "http-flv": 0, "ws-flv": 0}, 0
	for _, stream := range c.cfg.Relay.Streams() {
		states[stream.State]++
		kbps += stream.Kbps
		for protocol, n := range stream.Protocols {
			players[protocol] += n
		}
	}
	for _, state := range streamsStates {
		gauge(streamsDesc, float64(states[state]), state)
	}
	for protocol, n := range players {
		gauge(playersDesc, float64(n), protocol)
	}
	gauge(ingestDesc, float64(kbps)*1000)

	counters := c.cfg.Relay.Counters()
	for reason, n := range counters.Drops {
		counter(dropsDesc, n, reason)
	}
	for reason, n := range counters.Refusals {
		counter(refusalDesc, n, reason)
	}
	for result, n := range counters.Callback {
		counter(callbackDesc, n, result)
	}
	gauge(keptDesc, float64(counters.Kept))
	counter(cutsDesc, counters.Cuts)
	gauge(openDesc, float64(counters.Open))
	gauge(roomsDesc, float64(counters.Rooms))
	gauge(membersDesc, float64(counters.Members))
	gauge(signalDesc, float64(counters.Signal))
	for _, door := range counters.Doors {
		counter(receivedDesc, door.BytesIn, door.Name)
		counter(sentDesc, door.BytesOut, door.Name)
		for result, n := range door.Results {
			counter(resultDesc, n, door.Name, result)
		}
	}
}
