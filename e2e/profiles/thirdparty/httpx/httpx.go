// Package httpx is an HTTP client with retries, as services take them from others.
package httpx

import (
	"context"
	"net/http"
	"time"
)

// Client asks again when an answer was a server error.
type Client struct {
	HTTP    *http.Client
	Retries int
}

// New makes a client on the default transport.
func New(retries int) *Client { return &Client{HTTP: &http.Client{}, Retries: retries} }

// Fetch gets the URL. The caller closes the body.
func (c *Client) Fetch(ctx context.Context, url string) (*http.Response, error) {
	return c.retry(ctx, func() (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	})
}

func (c *Client) retry(ctx context.Context, build func() (*http.Request, error)) (*http.Response, error) {
	for try := 0; ; try++ {
		req, err := build()
		if err != nil {
			return nil, err
		}
		resp, err := c.HTTP.Do(req)
		if err == nil && resp.StatusCode < 500 || try >= c.Retries {
			return resp, err
		}
		if resp != nil {
			resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
