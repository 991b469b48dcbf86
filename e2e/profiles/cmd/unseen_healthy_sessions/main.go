// Command unseen_healthy_sessions keeps sessions for two seconds, each with a goroutine, a context and a timer.
package main

import (
	"context"
	"sync"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type sessions struct {
	mu   sync.Mutex
	open map[int]context.CancelFunc
	next int
}

func (s *sessions) begin(life context.Context) {
	ctx, cancel := context.WithTimeout(life, 2*time.Second)
	s.mu.Lock()
	id := s.next
	s.next++
	s.open[id] = cancel
	s.mu.Unlock()
	go func() {
		<-ctx.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open[id]()
		delete(s.open, id)
	}()
}

func main() {
	service.Run(func(string) service.Work {
		s := &sessions{open: map[int]context.CancelFunc{}}
		return func(context.Context) error {
			s.begin(context.Background())
			return nil
		}
	})
}
