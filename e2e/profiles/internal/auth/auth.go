// Package auth asks another service who somebody is.
package auth

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// RoundTripper signs requests.
type RoundTripper struct{ Next http.RoundTripper }

// RoundTrip adds the token.
func (r RoundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	signed := req.Clone(req.Context())
	signed.Header.Set("Authorization", "Bearer x")
	return r.Next.RoundTrip(signed)
}

// Verifier checks tokens.
type Verifier struct{ URL string }

func (v Verifier) client() *http.Client {
	dialer := &net.Dialer{Timeout: time.Second}
	return &http.Client{Transport: RoundTripper{&http.Transport{DialContext: dialer.DialContext}}}
}

// Verify asks the other service.
func (v Verifier) Verify(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.URL, nil)
	if err != nil {
		return err
	}
	resp, err := v.client().Do(req) //truth:TransportPerRequest/unseen_transport_signed leakwarden.dev/e2e/profiles/internal/auth.Verifier.Verify
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
