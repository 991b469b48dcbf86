// Command unseen_recv_semaphore takes a slot and does not give it back when its work fails.
package main

import (
	"context"
	"errors"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type limiter struct{ slots chan struct{} }

func newLimiter(n int) *limiter {
	l := &limiter{make(chan struct{}, n)}
	for range n {
		l.slots <- struct{}{}
	}
	return l
}

func (l *limiter) run(work func() error) error {
	<-l.slots //truth:ChannelReceive main.(*limiter).run
	if err := work(); err != nil {
		return err
	}
	l.slots <- struct{}{}
	return nil
}

func main() {
	service.Run(func(string) service.Work {
		l, n := newLimiter(100), 0
		return func(context.Context) error {
			n++
			failing := n%10 == 0
			return l.run(func() error {
				if failing {
					return errors.New("refused")
				}
				return nil
			})
		}
	})
}
