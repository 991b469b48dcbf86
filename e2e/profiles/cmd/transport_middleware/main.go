// Command transport_middleware wraps a new transport for every request in middlewares of the team's own.
package main

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }

var calls atomic.Int64

func counted(next http.RoundTripper) http.RoundTripper {
	return tripper(func(req *http.Request) (*http.Response, error) {
		calls.Add(1)
		return next.RoundTrip(req)
	})
}

func tagged(next http.RoundTripper) http.RoundTripper {
	return tripper(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		req.Header.Set("X-Tag", "a")
		return next.RoundTrip(req)
	})
}

func notify(ctx context.Context, url string) error {
	client := http.Client{Transport: counted(tagged(&http.Transport{ForceAttemptHTTP2: true}))}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req) //truth:TransportPerRequest main.notify
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func main() {
	service.Run(func(upstream string) service.Work {
		return func(ctx context.Context) error { return notify(ctx, upstream+"/page") }
	})
}
