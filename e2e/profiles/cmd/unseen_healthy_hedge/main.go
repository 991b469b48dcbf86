// Command unseen_healthy_hedge asks its upstream twice, cancels the slower call and lets both end.
//
//load:idle=300
package main

import (
	"context"
	"io"

	"leakwarden.dev/e2e/profiles/internal/api"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func ask(ctx context.Context, c *api.Client, path string, out chan<- error) {
	resp, err := c.Do(ctx, path)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	out <- err
}

func main() {
	service.Run(func(upstream string) service.Work {
		client := api.NewClient(upstream)
		return func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			answers := make(chan error, 2)
			go ask(ctx, client, "/page", answers)
			go ask(ctx, client, "/slow", answers)
			return <-answers
		}
	})
}
