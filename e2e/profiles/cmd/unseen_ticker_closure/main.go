// Command unseen_ticker_closure refreshes a cached value in the background of every session that ever was.
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type session struct {
	token   string
	refresh int
}

func newSession(every time.Duration) *session {
	s := &session{token: "t"}
	tick := time.Tick(every)
	go func() {
		for {
			<-tick //truth:TickerNeverStopped main.newSession.func1
			s.refresh++
		}
	}()
	return s
}

func main() {
	service.Run(func(string) service.Work {
		return func(context.Context) error {
			newSession(time.Second)
			return nil
		}
	})
}
