// Command ticker_select polls for every session; the session's end is never announced.
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type session struct {
	done  chan struct{}
	polls int
}

func (s *session) poll() {
	ticker := time.NewTicker(2 * time.Second)
	for {
		select { //truth:TickerNeverStopped main.(*session).poll
		case <-ticker.C:
			s.polls++
		case <-s.done:
			ticker.Stop()
			return
		}
	}
}

func open(context.Context) error {
	s := &session{done: make(chan struct{})}
	go s.poll()
	return nil
}

func main() {
	service.Run(func(string) service.Work { return open })
}
