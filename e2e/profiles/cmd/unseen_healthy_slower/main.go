// Command unseen_healthy_slower depends on something that gets slower, 20 ms with every second.
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

func main() {
	service.Run(func(string) service.Work {
		started := time.Now()
		return func(ctx context.Context) error {
			timer := time.NewTimer(time.Since(started) / 50)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}
