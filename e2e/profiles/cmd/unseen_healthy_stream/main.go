// Command unseen_healthy_stream streams to long-lived workers through bounded queues with timeouts.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type shard struct {
	mu    sync.Mutex
	queue chan int
	total int
}

func (s *shard) drain() {
	flush := time.NewTicker(50 * time.Millisecond)
	defer flush.Stop()
	for {
		select {
		case n := <-s.queue:
			s.mu.Lock()
			s.total += n
			s.mu.Unlock()
		case <-flush.C:
		}
	}
}

func main() {
	service.Run(func(string) service.Work {
		shards := make([]*shard, 256)
		for n := range shards {
			shards[n] = &shard{queue: make(chan int, 32)}
			go shards[n].drain()
		}
		var mu sync.Mutex
		next := 0
		return func(ctx context.Context) error {
			mu.Lock()
			next++
			s := shards[next%len(shards)]
			mu.Unlock()
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			select {
			case s.queue <- next:
				return nil
			case <-ctx.Done():
				return errors.New("full")
			}
		}
	})
}
