// Command unseen_wg_panic recovers in its workers and forgets the group where it does.
package main

import (
	"context"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type batch struct{ group sync.WaitGroup }

func (b *batch) item(n int) {
	defer func() { _ = recover() }()
	if n == 2 {
		panic("bad item")
	}
	b.group.Done()
}

func (b *batch) run() {
	for n := range 3 {
		b.group.Add(1)
		go b.item(n)
	}
	b.group.Wait() //truth:WaitGroupNeverDone main.(*batch).run
}

func main() {
	service.Run(func(string) service.Work {
		return func(context.Context) error {
			go new(batch).run()
			return nil
		}
	})
}
