// Command body_wrapper uses a generic helper that forgets the body itself, from two places.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/api"
	"leakwarden.dev/e2e/profiles/internal/service"
)

type user struct{ Name string }

type order struct{ ID int }

func showUser(ctx context.Context, c *api.Client) { api.Decode[user](ctx, c, "/page") }

func showOrder(ctx context.Context, c *api.Client) { api.Decode[order](ctx, c, "/page") }

func main() {
	service.Run(func(upstream string) service.Work {
		client := api.NewClient(upstream)
		return func(ctx context.Context) error {
			ctx = context.WithoutCancel(ctx)
			showUser(ctx, client)
			showOrder(ctx, client)
			return nil
		}
	})
}
