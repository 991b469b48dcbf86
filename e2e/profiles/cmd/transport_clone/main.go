// Command transport_clone clones the default transport in the method that makes a call.
package main

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type gateway struct{ base string }

func (g gateway) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13}
	return &http.Client{Transport: transport}
}

func (g gateway) charge(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+"/page", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := g.client().Do(req) //truth:TransportPerRequest main.gateway.charge
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err
}

func main() {
	service.Run(func(upstream string) service.Work {
		g := gateway{upstream}
		return g.charge
	})
}
