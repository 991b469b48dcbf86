package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
)

// Service answers GET /products with recommendations of its upstream, or with its own few when that fails.
type Service struct {
	cfg      Config
	log      *slog.Logger
	limiter  *rate.Limiter
	breaker  *gobreaker.CircuitBreaker[[]string]
	client   *http.Client
	tracing  []otelhttp.Option
	metrics  *metrics
	draining atomic.Bool
}

// New makes a service; nothing is shared between two.
func New(cfg Config, log *slog.Logger) *Service {
	s := &Service{cfg: cfg, log: log, limiter: rate.NewLimiter(rate.Limit(cfg.RequestsPerSec), cfg.Burst), metrics: newMetrics()}
	s.breaker = newBreaker(cfg.Breaker, s.metrics.breakerOpened)
	// Without an exporter spans go nowhere; the trace's id is what logs and the upstream get.
	s.tracing = []otelhttp.Option{
		otelhttp.WithTracerProvider(trace.NewTracerProvider()),
		otelhttp.WithPropagators(propagation.TraceContext{}),
	}
	// One client for the life of the process, with room for as many idle connections as requests run at once.
	transport := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, ResponseHeaderTimeout: cfg.UpstreamTimeout}
	s.client = &http.Client{Transport: otelhttp.NewTransport(transport, s.tracing...), Timeout: cfg.UpstreamTimeout}
	return s
}

// Handler routes. Probes and metrics are outside of the limit: an overloaded service is still alive, and must say so.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.Handle("GET /products", otelhttp.NewHandler(s.logged(s.limited(http.HandlerFunc(s.products))), "products", s.tracing...))
	return mux
}

func (s *Service) ready(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// limited answers 429 when the bucket is empty: at once, so that the ones that are served stay quick.
func (s *Service) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.limiter.Allow() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type answer struct {
	Products []string `json:"products"`
	Degraded bool     `json:"degraded"`
}

// bestsellers need no other service.
var bestsellers = []string{"tea", "cup"}

func (s *Service) products(w http.ResponseWriter, r *http.Request) {
	found, err := s.recommended(r.Context())
	body := answer{Products: found}
	if err != nil {
		if !s.cfg.Breaker.Enabled {
			http.Error(w, "the recommendations failed", http.StatusBadGateway)
			return
		}
		body = answer{Products: bestsellers, Degraded: true}
		s.metrics.degraded.Inc()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a client that hung up is the client's business
}

func (s *Service) recommended(ctx context.Context) ([]string, error) {
	if !s.cfg.Breaker.Enabled {
		return s.call(ctx)
	}
	return s.breaker.Execute(func() ([]string, error) { return s.call(ctx) })
}

func (s *Service) call(ctx context.Context) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.Upstream+"/recommendations", nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	// Read to its end, so that the connection is used again; and to a bound, whatever the upstream sends.
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the upstream answered %d", resp.StatusCode)
	}
	var found []string
	return found, json.Unmarshal(data, &found)
}
