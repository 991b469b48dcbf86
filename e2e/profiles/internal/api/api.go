// Package api is a team's own client of its upstream.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Client adds what every request needs.
type Client struct {
	Base string
	HTTP *http.Client
}

// NewClient makes a client with a pool of its own.
func NewClient(base string) *Client {
	return &Client{Base: base, HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Hour}}
}

// Do sends a GET. The caller closes the body.
func (c *Client) Do(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Team", "orders")
	return c.HTTP.Do(req)
}

// Decode gets a page into a value, and forgets the body where the page is not what was asked for.
func Decode[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+path, nil)
	if err != nil {
		return out, err
	}
	resp, err := c.HTTP.Do(req) //truth:ResponseBodyNotClosed/body_wrapper leakwarden.dev/e2e/profiles/internal/api.Decode[...]
	if err != nil {
		return out, err
	}
	if resp.Header.Get("Content-Type") != "application/json" {
		return out, fmt.Errorf("not JSON: %s", path)
	}
	defer resp.Body.Close()
	return out, json.NewDecoder(resp.Body).Decode(&out)
}
