// Command mutex_holder sends on a channel that nobody reads while it holds the lock that everybody needs.
package main

import (
	"context"
	"sync"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type cache struct {
	mu      sync.RWMutex
	entries map[string]string
	evicted chan string
}

func (c *cache) get(key string) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[key]
}

func (c *cache) put(key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[key] = value
}

func (c *cache) evict(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
	c.evicted <- key //truth:ChannelSend main.(*cache).evict
}

func main() {
	service.Run(func(string) service.Work {
		c := &cache{entries: map[string]string{}, evicted: make(chan string)}
		time.AfterFunc(time.Second, func() { c.evict("a") })
		return func(context.Context) error {
			if c.get("a") == "" {
				c.put("a", "b")
			}
			return nil
		}
	})
}
