// Command boundedcache fills a cache up to its bound and stays there. Every entry holds memory, an open file and a
// goroutine, so that descriptors, goroutines and heap rise together for a while. It is not a leak: then they are
// flat.
package main

import (
	"bytes"
	"container/list"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"leakwarden.dev/e2e/services/internal/service"
)

const refreshEvery = time.Hour

type entry struct {
	content []byte
	file    *os.File
	stop    chan struct{}
}

// cache keeps the newest entries. Keys do not matter here: every request is for something new, the worst case for
// a cache.
type cache struct {
	cfg        service.Config
	client     *http.Client
	bound      int
	entryBytes int

	mu      sync.Mutex
	entries *list.List // of *entry, oldest in front
}

func (c *cache) fill(ctx context.Context) (string, error) {
	body := []byte("an answer worth keeping")
	if c.cfg.Upstream != "" {
		var err error
		if body, err = service.Fetch(ctx, c.client, c.cfg); err != nil {
			return "", err
		}
	}
	file, err := os.CreateTemp("", "entry-*")
	if err != nil {
		return "", err
	}
	if err := os.Remove(file.Name()); err != nil { // unlinked at once: nothing stays on disk
		file.Close()
		return "", err
	}
	e := &entry{bytes.Repeat(body, c.entryBytes/max(1, len(body))+1), file, make(chan struct{})}
	go e.refresh()
	return fmt.Sprintf("%d of %d entries", c.add(e), c.bound), nil
}

// add takes the oldest entries out before the cache exceeds its bound, and releases all they hold.
func (c *cache) add(e *entry) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.entries.Len() >= c.bound {
		c.entries.Remove(c.entries.Front()).(*entry).release()
	}
	c.entries.PushBack(e)
	return c.entries.Len()
}

func (e *entry) refresh() {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_, _ = e.file.WriteAt(e.content, 0) // best effort: the copy in memory is the one served
		case <-e.stop:
			return
		}
	}
}

func (e *entry) release() {
	close(e.stop)
	e.file.Close()
}

func main() {
	bound, entryBytes := 80, 256<<10
	service.Main(service.Program{
		Name:  "boundedcache",
		About: "fills a cache up to its bound: rises like a leak, then stays",
		Flags: func(fs *flag.FlagSet) {
			fs.IntVar(&bound, "bound", bound, "entries kept")
			fs.IntVar(&entryBytes, "entry-bytes", entryBytes, "memory that an entry holds")
		},
		New: func(cfg service.Config, _ *service.Metrics) (service.Forms, error) {
			if bound < 1 || entryBytes < 0 {
				return service.Forms{}, fmt.Errorf("-bound is %d and -entry-bytes %d, must be 1 and 0 or more", bound, entryBytes)
			}
			c := &cache{cfg: cfg, client: &http.Client{Transport: service.NewTransport(cfg)}, bound: bound,
				entryBytes: entryBytes, entries: list.New()}
			return service.Forms{Fixed: c.fill}, nil
		},
	})
}
