// Command context_cancel derives a context from the application's for every request and loses its cancel function.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type app struct{ life context.Context }

func (a *app) handle(context.Context) error {
	for range 5 {
		ctx, cancel := context.WithCancel(a.life) //truth:ContextNeverCancelled main.(*app).handle
		_ = cancel
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	service.Run(func(string) service.Work {
		life, stop := context.WithCancel(context.Background())
		_ = stop
		a := &app{life}
		return a.handle
	})
}
