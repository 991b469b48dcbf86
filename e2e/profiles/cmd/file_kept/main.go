// Command file_kept files every spool under a name and never takes one out.
package main

import (
	"context"
	"os"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type spooler struct {
	mu    sync.Mutex
	files []*os.File
}

func (s *spooler) spool() (*os.File, error) {
	file, err := os.CreateTemp("", "profiles-*") //truth:FileNotClosed main.(*spooler).spool
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

func (s *spooler) handle(context.Context) error {
	for range 2 {
		file, err := s.spool()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.files = append(s.files, file)
		s.mu.Unlock()
	}
	return nil
}

func main() {
	service.Run(func(string) service.Work { return (&spooler{}).handle })
}
