// Command healthy_pool hands requests to 64 workers that wait for them, and has 1,500 clients whose connections stay open.
//
//load:idle=1500
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type task struct{ done chan struct{} }

func work(tasks <-chan task) {
	for t := range tasks {
		time.Sleep(5 * time.Millisecond)
		close(t.done)
	}
}

func main() {
	service.Run(func(string) service.Work {
		tasks := make(chan task)
		for range 64 {
			go work(tasks)
		}
		return func(ctx context.Context) error {
			t := task{make(chan struct{})}
			select {
			case tasks <- t:
			case <-ctx.Done():
				return ctx.Err()
			}
			<-t.done
			return nil
		}
	})
}
