// Command wg_worker waits for a group whose members cannot hand over their results.
package main

import (
	"context"

	"golang.org/x/sync/errgroup"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func collect(out chan<- int, n int) error {
	out <- n //truth:ChannelSend main.collect
	return nil
}

func gather() error {
	out := make(chan int, 1)
	var group errgroup.Group
	for n := range 2 {
		group.Go(func() error { return collect(out, n) })
	}
	return group.Wait()
}

func main() {
	service.Run(func(string) service.Work {
		return func(context.Context) error {
			go gather()
			return nil
		}
	})
}
