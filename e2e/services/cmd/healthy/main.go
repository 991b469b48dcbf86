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

	"leakwarden.dev/e2e/services/internal/service"
)

// pageBytes is large enough that a body nobody reads is really on the wire.
const pageBytes = 2 << 10

type healthy struct {
	cfg     service.Config
	client  *http.Client
	latency time.Duration
}

func (h healthy) work(ctx context.Context) (string, error) {
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

func main() {
	latency := 2 * time.Millisecond
	service.Main(service.Program{
		Name:  "healthy",
		About: "does its work without a fault; the upstream of the others where it has none itself",
		Flags: func(fs *flag.FlagSet) {
			fs.DurationVar(&latency, "latency", latency, "what the work takes")
		},
		New: func(cfg service.Config, _ *service.Metrics) (service.Forms, error) {
			h := healthy{cfg, &http.Client{Transport: service.NewTransport(cfg)}, latency}
			return service.Forms{Fixed: h.work}, nil
		},
	})
}
