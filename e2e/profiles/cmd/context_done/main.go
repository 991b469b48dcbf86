// Command context_done starts a goroutine that cleans up when its context ends, which it never does.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type lease struct{ held []byte }

func (l *lease) release(ctx context.Context) {
	<-ctx.Done() //truth:ContextNeverCancelled main.(*lease).release
	l.held = nil
}

func acquire(life context.Context) {
	ctx, cancel := context.WithCancel(life)
	_ = cancel
	l := &lease{make([]byte, 128)}
	go l.release(ctx)
}

func main() {
	service.Run(func(string) service.Work {
		life, stop := context.WithCancel(context.Background())
		_ = stop
		return func(context.Context) error {
			acquire(life)
			return nil
		}
	})
}
