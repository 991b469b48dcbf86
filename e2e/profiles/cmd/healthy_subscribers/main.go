// Command healthy_subscribers keeps 2,000 subscribers, each with a goroutine and a ticker, from its start on.
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type subscriber struct {
	in   chan string
	sent int
}

func (s *subscriber) pump(keepalive time.Duration) {
	ticker := time.NewTicker(keepalive)
	defer ticker.Stop()
	for {
		select {
		case <-s.in:
			s.sent++
		case <-ticker.C:
		}
	}
}

func main() {
	service.Run(func(string) service.Work {
		subscribers := make([]*subscriber, 2000)
		for n := range subscribers {
			subscribers[n] = &subscriber{in: make(chan string, 8)}
			go subscribers[n].pump(10 * time.Second)
		}
		return func(context.Context) error {
			for _, s := range subscribers[:10] {
				s.in <- "news"
			}
			return nil
		}
	})
}
