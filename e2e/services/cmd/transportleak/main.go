// Command transportleak makes a new http.Transport for every request. Each keeps its connection open for a next
// request that never comes: one descriptor and two goroutines stay, here and at the upstream, until the upstream's
// idle timeout.
package main

import (
	"context"
	"net/http"

	"leakwarden.dev/e2e/services/internal/service"
)

type caller struct {
	cfg    service.Config
	shared *http.Client
}

// leaking closes the body as it should; the connection pool behind it is what nobody closes.
func (c caller) leaking(ctx context.Context) (string, error) {
	client := &http.Client{Transport: service.NewTransport(c.cfg)} // the fault: a pool of its own for one request
	_, err := service.Fetch(ctx, client, c.cfg)
	return "fetched", err
}

// fixed uses the one client made at start.
func (c caller) fixed(ctx context.Context) (string, error) {
	_, err := service.Fetch(ctx, c.shared, c.cfg)
	return "fetched", err
}

func main() {
	service.Main(service.Program{
		Name:          "transportleak",
		About:         "calls its upstream through a new http.Transport for every request",
		NeedsUpstream: true,
		New: func(cfg service.Config, _ *service.Metrics) (service.Forms, error) {
			c := caller{cfg, &http.Client{Transport: service.NewTransport(cfg)}}
			return service.Forms{Leaking: c.leaking, Fixed: c.fixed}, nil
		},
	})
}
