// Command healthy has no fault. With an upstream it calls it correctly; without one it answers by itself, and serves
// as the upstream of the others.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leakwarden.dev/e2e/services/internal/service"
)

// pageBytes is large enough that a body nobody reads is really on the wire.
const pageBytes = 2 << 10

type healthy struct {
	cfg     service.Config
	client  *http.Client
	latency time.Duration
	slots   chan struct{} // nil: as many at once as come
}

// take waits for a turn, and gives what ends it.
func (h healthy) take(ctx context.Context) (func(), error) {
	if h.slots == nil {
		return func() {}, nil
	}
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (h healthy) work(ctx context.Context) (string, error) {
	done, err := h.take(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	select {
	case <-time.After(h.latency):
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if h.cfg.Upstream == "" {
		return strings.Repeat("page ", pageBytes/len("page ")), nil
	}
	body, err := service.Fetch(ctx, h.client, h.cfg)
	return fmt.Sprintf("fetched %d bytes", len(body)), err
}

// measured counts the time of each call to the upstream under OpenTelemetry's name for it.
func measured(cfg service.Config, metrics *service.Metrics) http.RoundTripper {
	if cfg.Upstream == "" {
		return service.NewTransport(cfg)
	}
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_client_request_duration_seconds", Help: "Time that the upstream took to answer.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	}, []string{"method"})
	metrics.Registry.MustRegister(took)
	return timed{service.NewTransport(cfg), took}
}

// timed counts calls that failed as well: one that ran into its timeout took that long.
type timed struct {
	next http.RoundTripper
	took *prometheus.HistogramVec
}

func (t timed) RoundTrip(r *http.Request) (*http.Response, error) {
	started := time.Now()
	resp, err := t.next.RoundTrip(r)
	t.took.WithLabelValues(r.Method).Observe(time.Since(started).Seconds())
	return resp, err
}

func main() {
	latency, atOnce := 2*time.Millisecond, 0
	service.Main(service.Program{
		Name:  "healthy",
		About: "does its work without a fault; the upstream of the others where it has none itself",
		Flags: func(fs *flag.FlagSet) {
			fs.DurationVar(&latency, "latency", latency, "what the work takes")
			fs.IntVar(&atOnce, "at-once", atOnce, "requests that are worked on at once, the others wait (0: all)")
		},
		New: func(cfg service.Config, metrics *service.Metrics) (service.Forms, error) {
			if atOnce < 0 {
				return service.Forms{}, fmt.Errorf("-at-once is %d, must be 0 or more", atOnce)
			}
			h := healthy{cfg: cfg, client: &http.Client{Transport: measured(cfg, metrics)}, latency: latency}
			if atOnce > 0 {
				h.slots = make(chan struct{}, atOnce)
			}
			return service.Forms{Fixed: h.work}, nil
		},
	})
}
