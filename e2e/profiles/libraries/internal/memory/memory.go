// Package memory keeps things: maps, slices, parts of large arrays, closures and contexts.
package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Store keeps answers by request, so that a repeated one is answered the same.
type Store[K comparable] struct {
	Repaired bool
	mu       sync.Mutex
	entries  map[K][]byte
}

// Remember keeps an answer.
func (s *Store[K]) Remember(key K, answer any) error {
	body, err := json.Marshal(answer) //truth:EntriesNeverRemoved/map_growth
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = map[K][]byte{}
	}
	if s.Repaired {
		clear(s.entries)
	}
	s.entries[key] = body //way:map_growth
	return nil
}

var mu sync.Mutex

var heads [][]byte

// Head keeps the first bytes of a document.
func Head(repaired bool) {
	document := make([]byte, 16<<10) //truth:EntriesNeverRemoved/subslice
	head := document[:16]
	if repaired {
		head = bytes.Clone(head)
	}
	mu.Lock()
	defer mu.Unlock()
	heads = append(heads, head) //way:subslice
}

// Hooks are called at the end.
type Hooks struct {
	Repaired bool
	mu       sync.Mutex
	done     []func()
}

// Register adds one for a request, which keeps what the request had.
func (h *Hooks) Register(body []byte) {
	kept := bytes.Clone(body) //truth:RegistrationKept/hooks_registry
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.Repaired {
		h.done = nil
	}
	h.done = append(h.done, func() { fmt.Sprint(len(kept)) }) //way:hooks_registry
}

var root, _ = context.WithCancel(context.Background())

// Derive makes a context of the service's own and forgets to end it.
func Derive(repaired bool) {
	ctx, cancel := context.WithCancel(context.WithValue(root, memory{}, make([]byte, 4096))) //truth:ContextNeverCancelled/context_kept
	if repaired {
		cancel()
	}
	_ = ctx
}

type memory struct{}

// Later keeps what it will need in an hour.
func Later(repaired bool) {
	body := make([]byte, 4096)                                           //way:timer_closure
	timer := time.AfterFunc(time.Hour, func() { fmt.Sprint(len(body)) }) //truth:TimerNeverStopped/timer_closure
	if repaired {
		timer.Stop()
	}
}
