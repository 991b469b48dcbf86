// Command unseen_mutex_callback calls a listener under its lock, and the listener asks for the lock again.
package main

import (
	"context"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type store struct {
	mu        sync.Mutex
	values    map[string]int
	listeners []func(string)
}

func (s *store) get(key string) int {
	s.mu.Lock() //truth:MutexHeld main.(*store).get
	defer s.mu.Unlock()
	return s.values[key]
}

func (s *store) set(key string, value int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
	if value == 1000 {
		for _, listener := range s.listeners {
			listener(key)
		}
	}
}

func main() {
	service.Run(func(string) service.Work {
		s := &store{values: map[string]int{}}
		s.listeners = append(s.listeners, func(key string) { s.get(key) })
		return func(context.Context) error {
			s.set("n", s.get("n")+1)
			return nil
		}
	})
}
