// Command lockleak returns without unlocking on one path: from then on every request waits for the lock, each with a
// goroutine and a descriptor, until its caller gives up; the goroutines stay.
package main

import (
	"context"
	"flag"
	"fmt"
	"sync"

	"leakwarden.dev/e2e/services/internal/service"
)

type shelf struct {
	soldOut int

	mu    sync.Mutex
	taken int
}

// leaking forgets to unlock where nothing is left.
func (s *shelf) leaking(context.Context) (string, error) {
	s.mu.Lock() // the fault: not every path unlocks
	s.taken++
	if s.taken >= s.soldOut {
		return "sold out", nil
	}
	taken := s.taken
	s.mu.Unlock()
	return fmt.Sprintf("took number %d", taken), nil
}

// fixed unlocks on every path.
func (s *shelf) fixed(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock() // the repair
	s.taken++
	if s.taken >= s.soldOut {
		return "sold out", nil
	}
	return fmt.Sprintf("took number %d", s.taken), nil
}

func main() {
	soldOut := 100
	service.Main(service.Program{
		Name:  "lockleak",
		About: "forgets to unlock after so many requests",
		Flags: func(fs *flag.FlagSet) { fs.IntVar(&soldOut, "sold-out", soldOut, "the request that does not unlock") },
		New: func(service.Config, *service.Metrics) (service.Forms, error) {
			if soldOut < 1 {
				return service.Forms{}, fmt.Errorf("-sold-out is %d, must be 1 or more", soldOut)
			}
			s := &shelf{soldOut: soldOut}
			return service.Forms{Leaking: s.leaking, Fixed: s.fixed}, nil
		},
	})
}
