// Command unseen_body_retry retries on a status it does not like, and drops the answers it retried on.
package main

import (
	"context"
	"errors"
	"io"
	"net/http"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type weather struct {
	http *http.Client
	url  string
}

func (w *weather) attempt(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return nil, err
	}
	return w.http.Do(req) //truth:ResponseBodyNotClosed main.(*weather).attempt
}

func (w *weather) forecast(ctx context.Context) error {
	for try := 0; try < 2; try++ {
		resp, err := w.attempt(ctx)
		if err != nil {
			return err
		}
		if try == 0 {
			continue
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	return nil
}

func main() {
	service.Run(func(upstream string) service.Work {
		w := &weather{&http.Client{}, upstream + "/page"}
		return func(ctx context.Context) error { return w.forecast(context.WithoutCancel(ctx)) }
	})
}
