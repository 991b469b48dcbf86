// Command unseen_mutex_rlock forgets a read lock where a key is missing, and then wants to write.
package main

import (
	"context"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type registry struct {
	mu     sync.RWMutex
	values map[string]int
}

func (r *registry) lookup(key string) (int, bool) {
	r.mu.RLock() //truth:MutexHeld main.(*registry).lookup
	value, ok := r.values[key]
	if !ok {
		return 0, false
	}
	r.mu.RUnlock()
	return value, true
}

func (r *registry) store(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values[key] = 1
}

func main() {
	service.Run(func(string) service.Work {
		r := &registry{values: map[string]int{}}
		return func(context.Context) error {
			if _, ok := r.lookup("key"); !ok {
				r.store("key")
			}
			return nil
		}
	})
}
