package service

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

type answer struct {
	Result  string `json:"result,omitempty"`
	Error   string `json:"error,omitempty"`
	TraceID string `json:"trace_id"`
}

// serveWork answers 200, or 502 when something it depends on failed, as a gateway does: the service itself is
// alive, says so on /healthz, and yet is of no use to its users.
func (s *server) serveWork(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	trace := traceOf(r.Header)
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()

	status, body := http.StatusOK, answer{TraceID: trace.id}
	result, err := s.nextForm()(withTrace(r.Context(), trace))
	if err != nil {
		status, body.Error = http.StatusBadGateway, err.Error()
	} else {
		body.Result = result
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that hung up is the client's business

	took := time.Since(started)
	s.metrics.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	s.metrics.duration.Observe(took.Seconds())
	attrs := []any{"method", r.Method, "path", r.URL.Path, "status", status, "trace_id", trace.id,
		"duration_ms", float64(took.Microseconds()) / 1000}
	if err != nil {
		s.log.Error("request", append(attrs, "error", err.Error())...)
		return
	}
	s.log.Info("request", attrs...)
}

// nextForm picks the faulty form for one request in LeakEvery, so that a leak can be as slow as it is in the field.
func (s *server) nextForm() Work {
	n := s.requests.Add(1)
	if s.forms.Leaking == nil || s.cfg.Fixed || n%int64(s.cfg.LeakEvery) != 0 {
		return s.forms.Fixed
	}
	return s.forms.Leaking
}
