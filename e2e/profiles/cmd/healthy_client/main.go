// Command healthy_client calls a slow upstream through a shared client and closes what it opens.
package main

import (
	"context"
	"io"
	"time"

	"leakwarden.dev/e2e/profiles/internal/api"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func main() {
	service.Run(func(upstream string) service.Work {
		client := api.NewClient(upstream)
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			resp, err := client.Do(ctx, "/slow")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		}
	})
}
