// Command transport_literal makes a transport for every request and leaves its connection open.
package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

func fetch(ctx context.Context, url string) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: 10}, Timeout: 5 * time.Second}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req) //truth:TransportPerRequest main.fetch
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func main() {
	service.Run(func(upstream string) service.Work {
		return func(ctx context.Context) error { return fetch(ctx, upstream+"/page") }
	})
}
