// Command bodyleak never closes the body of its upstream's response. The connection can then neither be reused nor
// closed: one descriptor and two goroutines (readLoop, writeLoop) stay with every request.
package main

import (
	"context"
	"net/http"

	"leakwarden.dev/e2e/services/internal/service"
)

type checker struct {
	cfg    service.Config
	client *http.Client
}

// leaking looks at the status only and forgets that there is a body. The call outlives the inbound request, as
// with a bare http.Get; tied to it, the end of that request would close the connection after all.
func (c checker) leaking(ctx context.Context) (string, error) {
	req, err := service.NewUpstreamRequest(context.WithoutCancel(ctx), c.cfg)
	if err != nil {
		return "", err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return "", err
	}
	// The fault: resp.Body is neither read nor closed.
	return "checked", service.CheckStatus(resp)
}

// fixed closes the body whatever the answer was.
func (c checker) fixed(ctx context.Context) (string, error) {
	req, err := service.NewUpstreamRequest(ctx, c.cfg)
	if err != nil {
		return "", err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() // the repair
	return "checked", service.CheckStatus(resp)
}

func main() {
	service.Main(service.Program{
		Name:          "bodyleak",
		About:         "calls its upstream and never closes the response body",
		NeedsUpstream: true,
		New: func(cfg service.Config, _ *service.Metrics) (service.Forms, error) {
			c := checker{cfg, &http.Client{Transport: service.NewTransport(cfg)}}
			return service.Forms{Leaking: c.leaking, Fixed: c.fixed}, nil
		},
	})
}
