// Package bus hands messages to subscribers, each of which has a goroutine of its own until it is closed.
package bus

import "sync"

// Bus is a set of subscriptions.
type Bus struct {
	mu   sync.Mutex
	subs map[*Subscription]struct{}
}

// Subscription receives until it is closed.
type Subscription struct {
	bus   *Bus
	in    chan string
	done  chan struct{}
	seen  [256]byte
	count int
}

// New makes an empty bus.
func New() *Bus { return &Bus{subs: map[*Subscription]struct{}{}} }

// Subscribe calls handle for every message until Close.
func (b *Bus) Subscribe(handle func(string)) *Subscription {
	s := &Subscription{bus: b, in: make(chan string, 16), done: make(chan struct{})}
	b.mu.Lock()
	b.subs[s] = struct{}{}
	b.mu.Unlock()
	go s.deliver(handle)
	return s
}

func (s *Subscription) deliver(handle func(string)) {
	for {
		select {
		case message := <-s.in:
			s.count++
			copy(s.seen[:], message)
			handle(message)
		case <-s.done:
			return
		}
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	delete(s.bus.subs, s)
	s.bus.mu.Unlock()
	close(s.done)
}
