package service

import (
	"fmt"
	"syscall"
)

// lowerDescriptorLimit sets the soft and the hard limit. Only both together hold: Go raises the soft limit to the
// hard one at start, and container runtimes grant a million, which no test would ever exhaust.
func lowerDescriptorLimit(n uint64) error {
	if n == 0 {
		return nil
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return fmt.Errorf("cannot set the descriptor limit to %d: %w", n, err)
	}
	return nil
}
