package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"
)

type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration prometheus.Histogram
	degraded prometheus.Counter
	open     prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests by status code."}, []string{"code"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Time to answer."}),
		degraded: prometheus.NewCounter(prometheus.CounterOpts{Name: "degraded_answers_total", Help: "Answers without recommendations."}),
		open:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "circuit_breaker_open", Help: "1 while the upstream is not called."}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.duration, m.degraded, m.open)
	return m
}

func (m *metrics) breakerOpened(open bool) {
	if open {
		m.open.Set(1)
		return
	}
	m.open.Set(0)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// logged writes one JSON line a request, with the trace of its caller where it brought one.
func (s *Service) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		writer := &statusWriter{w, http.StatusOK}
		next.ServeHTTP(writer, r)
		took := time.Since(started)
		s.metrics.requests.WithLabelValues(strconv.Itoa(writer.status)).Inc()
		s.metrics.duration.Observe(took.Seconds())
		s.log.Info("request", "method", r.Method, "path", r.URL.Path, "status", writer.status,
			"trace_id", trace.SpanContextFromContext(r.Context()).TraceID().String(),
			"duration_ms", float64(took.Microseconds())/1000)
	})
}
