// Command mutex_return returns from an error path without unlocking.
package main

import (
	"context"
	"errors"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type ledger struct {
	mu    sync.Mutex
	total int
}

func (l *ledger) add(n int) error {
	l.mu.Lock() //truth:MutexHeld main.(*ledger).add
	if n%500 == 499 {
		return errors.New("refused")
	}
	l.total += n
	l.mu.Unlock()
	return nil
}

func main() {
	service.Run(func(string) service.Work {
		l := &ledger{}
		requests := make(chan int)
		go func() {
			for n := 0; ; n++ {
				requests <- n
			}
		}()
		return func(context.Context) error { return l.add(<-requests) }
	})
}
