// Command unseen_body_peek looks at the first bytes of an object; its two other readers close what they open.
package main

import (
	"context"
	"io"
	"net/http"

	"leakwarden.dev/e2e/profiles/internal/blob"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func size(ctx context.Context, s blob.Store) (int64, error) {
	r, err := s.Open(ctx, "/page")
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}

func digest(ctx context.Context, s blob.Store) ([]byte, error) {
	r, err := s.Open(ctx, "/page")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func kind(ctx context.Context, s blob.Store) (string, error) {
	r, err := s.Open(ctx, "/page") //truth:ResponseBodyNotClosed main.kind
	if err != nil {
		return "", err
	}
	head := make([]byte, 64)
	n, err := io.ReadFull(io.LimitReader(r, 64), head)
	return http.DetectContentType(head[:n]), err
}

func main() {
	service.Run(func(upstream string) service.Work {
		store := &blob.Remote{Base: upstream, Client: &http.Client{}}
		return func(ctx context.Context) error {
			ctx = context.WithoutCancel(ctx)
			if _, err := size(ctx, store); err != nil {
				return err
			}
			if _, err := digest(ctx, store); err != nil {
				return err
			}
			_, err := kind(ctx, store)
			return err
		}
	})
}
