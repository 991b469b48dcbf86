// Command healthy_cache keeps the 1,000 newest pages with a timer each, and a few files open for long.
package main

import (
	"context"
	"os"
	"sync"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type entry struct {
	page  []byte
	timer *time.Timer
}

type cache struct {
	mu      sync.Mutex
	entries []entry
	next    int
}

func (c *cache) add(page []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot := &c.entries[c.next%len(c.entries)]
	if slot.timer != nil {
		slot.timer.Stop()
	}
	*slot = entry{page, time.AfterFunc(time.Hour, func() {})}
	c.next++
}

func main() {
	service.Run(func(string) service.Work {
		c := &cache{entries: make([]entry, 1000)}
		segments := make([]*os.File, 100)
		for n := range segments {
			segments[n], _ = os.Open("/proc/self/status")
		}
		return func(context.Context) error {
			c.add(make([]byte, 1024))
			_, err := segments[0].Stat()
			return err
		}
	})
}
