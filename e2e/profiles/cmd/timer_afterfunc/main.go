// Command timer_afterfunc sets a timer for every session that runs out tomorrow, and never stops one.
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type session struct {
	expired bool
	data    [512]byte
}

func (s *session) expire() { s.expired = true }

func login(context.Context) error {
	s := &session{}
	for range 8 {
		time.AfterFunc(24*time.Hour, s.expire) //truth:TimerNeverStopped main.login
	}
	return nil
}

func main() {
	service.Run(func(string) service.Work { return login })
}
