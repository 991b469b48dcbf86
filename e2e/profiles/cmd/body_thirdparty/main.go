// Command body_thirdparty calls through a client with retries that others wrote, and forgets the body.
package main

import (
	"context"

	"example.org/courier/httpx"
	"leakwarden.dev/e2e/profiles/internal/service"
)

type catalog struct {
	client *httpx.Client
	base   string
}

func (c *catalog) available(ctx context.Context) (bool, error) {
	resp, err := c.client.Fetch(ctx, c.base+"/page") //truth:ResponseBodyNotClosed main.(*catalog).available
	if err != nil {
		return false, err
	}
	return resp.ContentLength > 0, nil
}

func main() {
	service.Run(func(upstream string) service.Work {
		c := &catalog{httpx.New(3), upstream}
		return func(ctx context.Context) error {
			_, err := c.available(context.WithoutCancel(ctx))
			return err
		}
	})
}
