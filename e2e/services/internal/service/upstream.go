package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// NewTransport is how the programs connect. It bounds connecting and the wait for the first byte, but not reading
// the body: a limit on the whole exchange (http.Client.Timeout) would clean up after a caller that forgets to, and
// there would be nothing to find.
func NewTransport(cfg Config) *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: cfg.UpstreamTimeout}).DialContext,
		ResponseHeaderTimeout: cfg.UpstreamTimeout,
		MaxIdleConnsPerHost:   16,
	}
}

// NewUpstreamRequest is a GET for the upstream's work that carries the trace on.
func NewUpstreamRequest(ctx context.Context, cfg Config) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.Upstream+"/work", nil)
	if err != nil {
		return nil, err
	}
	propagate(ctx, req.Header)
	return req, nil
}

// Fetch calls the upstream as one should: tied to the caller's context, the body read to its end and closed.
func Fetch(ctx context.Context, client *http.Client, cfg Config) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.UpstreamTimeout)
	defer cancel()
	req, err := NewUpstreamRequest(ctx, cfg)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := CheckStatus(resp); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
}

// CheckStatus turns any other status than 200 into an error.
func CheckStatus(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("upstream answered %d", resp.StatusCode)
	}
	return nil
}
