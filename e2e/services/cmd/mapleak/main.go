// Command mapleak keeps each answer by its request, so that a repeated request is answered the same, and never forgets
// one: memory grows, and neither goroutines nor descriptors do.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"

	"leakwarden.dev/e2e/services/internal/service"
)

type answers struct {
	size   int
	number atomic.Int64

	mu      sync.Mutex
	entries map[int64][]byte
}

// leaking keeps every answer.
func (a *answers) leaking(context.Context) (string, error) {
	number, body := a.number.Add(1), bytes.Repeat([]byte("x"), a.size)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries[number] = body // the fault: nothing ever takes it out
	return fmt.Sprintf("kept %d answers", len(a.entries)), nil
}

// fixed keeps the last hundred.
func (a *answers) fixed(context.Context) (string, error) {
	number, body := a.number.Add(1), bytes.Repeat([]byte("x"), a.size)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries[number] = body
	delete(a.entries, number-100) // the repair
	return fmt.Sprintf("kept %d answers", len(a.entries)), nil
}

func main() {
	size := 128 << 10
	service.Main(service.Program{
		Name:  "mapleak",
		About: "keeps the answer to every request",
		Flags: func(fs *flag.FlagSet) { fs.IntVar(&size, "answer-bytes", size, "memory that each answer holds") },
		New: func(service.Config, *service.Metrics) (service.Forms, error) {
			if size < 0 {
				return service.Forms{}, fmt.Errorf("-answer-bytes is %d, must be 0 or more", size)
			}
			a := &answers{size: size, entries: map[int64][]byte{}}
			return service.Forms{Leaking: a.leaking, Fixed: a.fixed}, nil
		},
	})
}
