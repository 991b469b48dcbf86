// Command cond_wait waits for room in a queue that is signalled only when something is put in.
package main

import (
	"context"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type queue struct {
	mu    sync.Mutex
	room  *sync.Cond
	items []int
}

func (q *queue) put(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) >= 10 {
		q.room.Wait() //truth:ConditionNeverSignalled main.(*queue).put
	}
	q.items = append(q.items, n)
	q.room.Signal()
}

func main() {
	service.Run(func(string) service.Work {
		q := &queue{}
		q.room = sync.NewCond(&q.mu)
		return func(context.Context) error {
			q.put(1)
			return nil
		}
	})
}
