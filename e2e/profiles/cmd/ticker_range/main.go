// Command ticker_range starts a heartbeat for every request and never ends it.
package main

import (
	"context"
	"sync/atomic"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

var beats atomic.Int64

func heartbeat(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for range ticker.C { //truth:TickerNeverStopped main.heartbeat
		beats.Add(1)
	}
}

func main() {
	service.Run(func(string) service.Work {
		return func(context.Context) error {
			go heartbeat(time.Second)
			return nil
		}
	})
}
