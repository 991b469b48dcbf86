// Command unseen_context_deadline gives every order an hour under the context of the shop and loses the cancel function.
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type shop struct{ life context.Context }

func (s *shop) bounded() context.Context {
	ctx, cancel := context.WithTimeout(s.life, time.Hour) //truth:ContextNeverCancelled main.(*shop).bounded
	_ = cancel
	return ctx
}

func (s *shop) order(context.Context) error {
	for range 3 {
		if err := s.bounded().Err(); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	service.Run(func(string) service.Work {
		life, stop := context.WithCancel(context.Background())
		_ = stop
		return (&shop{life}).order
	})
}
