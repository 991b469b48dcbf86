// Package locks has what waits for another.
package locks

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

// Shelf counts what is left.
type Shelf struct {
	Repaired bool
	mu       sync.Mutex
	calls    int
}

// Take forgets to unlock on one path.
func (s *Shelf) Take() error {
	s.mu.Lock() //truth:MutexHeld/lock_forgotten
	s.calls++
	if s.calls == 100 && !s.Repaired {
		return errors.New("sold out")
	}
	s.mu.Unlock()
	return nil
}

// Index is read by all and written by few.
type Index struct {
	Repaired bool
	mu       sync.RWMutex
	reads    int
}

// Find forgets to unlock on one path.
func (i *Index) Find(n int) error {
	i.mu.RLock() //truth:MutexHeld/rlock_forgotten
	if n == 100 && !i.Repaired {
		return errors.New("not found")
	}
	i.mu.RUnlock()
	return nil
}

// Rebuild writes.
func (i *Index) Rebuild() {
	i.mu.Lock()
	i.reads++
	i.mu.Unlock()
}

// Limit lets a few at once.
type Limit struct {
	Repaired bool
	weights  *semaphore.Weighted
}

// Open makes the limit.
func (l *Limit) Open() { l.weights = semaphore.NewWeighted(32) }

// Import forgets to release.
func (l *Limit) Import(ctx context.Context) error {
	if err := l.weights.Acquire(context.WithoutCancel(ctx), 1); err != nil { //truth:SemaphoreNotReleased/semaphore_import
		return err
	}
	if l.Repaired {
		l.weights.Release(1)
	}
	return nil
}

// Resize releases.
func (l *Limit) Resize(ctx context.Context) error {
	if err := l.weights.Acquire(context.WithoutCancel(ctx), 1); err != nil {
		return err
	}
	defer l.weights.Release(1)
	time.Sleep(time.Millisecond)
	return nil
}

var flights singleflight.Group

// Price asks once for all.
func Price(repaired bool) {
	_, _, _ = flights.Do("price", func() (any, error) { //truth:SingleflightStuck/singleflight_stuck
		if repaired {
			return 1, nil
		}
		<-make(chan struct{}) //way:singleflight_stuck
		return nil, nil
	})
}

// Gather starts three and takes the first answer.
func Gather(ctx context.Context, repaired bool) error {
	size := 0
	if repaired {
		size = 3
	}
	answers := make(chan int, size)
	group, _ := errgroup.WithContext(ctx)
	for n := range 3 {
		group.Go(func() error {
			answers <- n //truth:ChannelSend/errgroup_send
			return nil
		})
	}
	<-answers
	return nil
}

// Watchers wait for news by the launcher of package sync.
func Watchers(repaired bool) {
	var group sync.WaitGroup
	news := make(chan string)
	group.Go(func() {
		for range news { //truth:ChannelReceive/waitgroup_go
		}
	})
	if repaired {
		close(news)
		group.Wait()
	}
}
