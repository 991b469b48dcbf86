// Package blob reads objects from a store over HTTP.
package blob

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Store gives readers of objects. The caller closes them.
type Store interface {
	Open(ctx context.Context, name string) (io.ReadCloser, error)
}

// Remote is a Store on a server.
type Remote struct {
	Base   string
	Client *http.Client
}

// Open asks for an object.
func (r *Remote) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Base+name, nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.Client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("blob: %s", resp.Status)
	}
	return resp.Body, nil
}
