// Command healthy_fanout asks eight times at once under a deadline and waits for all of them.
package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func part(ctx context.Context, out chan<- int, n int) error {
	timer := time.NewTimer(time.Duration(n) * 5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case out <- n:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func gather(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	out := make(chan int, 8)
	for n := range 8 {
		group.Go(func() error { return part(ctx, out, n+1) })
	}
	return group.Wait()
}

func main() {
	service.Run(func(string) service.Work { return gather })
}
