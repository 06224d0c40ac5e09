package admin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Measured is a part of the server that has metrics: it adds each sample by its name, what it
// means, its value, and labels with their values in turn. A name that ends in _total only grows. No
// label holds a stream's, user's or room's name: their number has no bound, and a time series each
// would fill the memory of both sides.
type Measured func(add func(name, help string, value float64, labels ...string))

// Durations is a part that has histograms: upper bounds in seconds, counts of each bucket and of
// what lies above the last, the sum, and labels with their values in turn, as bounded as those of
// [Measured].
type Durations func(add func(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string))

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

// Metrics is what /metrics answers, as text.
func (s *Server) Metrics(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	var p scraped
	s.scrape.ServeHTTP(&p, r)
	if p.status != 0 && p.status != http.StatusOK {
		return nil, fmt.Errorf("metrics: status %d", p.status)
	}
	return p.body.Bytes(), nil
}

// scraped is an answer that stays in memory.
type scraped struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (p *scraped) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *scraped) WriteHeader(status int) { p.status = status }

func (p *scraped) Write(b []byte) (int, error) { return p.body.Write(b) }

// collector asks the parts when it is scraped: nothing is counted twice.
type collector struct{ *Server }

// Describe implements prometheus.Collector: what there is, the parts say when they are asked.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	add := func(name, help string, value float64, labels ...string) {
		names, values := pairs(labels)
		kind := prometheus.GaugeValue
		if strings.HasSuffix(name, "_total") {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("liverelay_"+name, help, names, nil), kind, value, values...)
	}
	add("build_info", "Always 1; the label is the version.", 1, "version", c.cfg.Version)
	for _, part := range c.cfg.Measured {
		part(add)
	}
	for _, part := range c.cfg.Durations {
		part(func(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string) {
			names, values := pairs(labels)
			buckets, count := map[float64]uint64{}, uint64(0)
			for i, n := range counts {
				count += n
				if i < len(bounds) {
					buckets[bounds[i]] = count
				}
			}
			out <- prometheus.MustNewConstHistogram(prometheus.NewDesc("liverelay_"+name, help, names, nil), count, sum, buckets, values...)
		})
	}
}

// pairs takes labels and their values apart.
func pairs(labels []string) (names, values []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}
