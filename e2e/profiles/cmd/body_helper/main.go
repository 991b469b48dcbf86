// Command body_helper has two callers of one helper; one of them forgets the body.
package main

import (
	"context"
	"io"

	"leakwarden.dev/e2e/profiles/internal/api"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func loadPrice(ctx context.Context, c *api.Client) error {
	resp, err := c.Do(ctx, "/page")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func checkStock(ctx context.Context, c *api.Client) (bool, error) {
	resp, err := c.Do(ctx, "/page") //truth:ResponseBodyNotClosed main.checkStock
	if err != nil {
		return false, err
	}
	return resp.StatusCode < 300, nil
}

func main() {
	service.Run(func(upstream string) service.Work {
		client := api.NewClient(upstream)
		return func(ctx context.Context) error {
			ctx = context.WithoutCancel(ctx)
			if err := loadPrice(ctx, client); err != nil {
				return err
			}
			_, err := checkStock(ctx, client)
			return err
		}
	})
}
