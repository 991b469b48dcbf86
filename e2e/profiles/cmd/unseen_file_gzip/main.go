// Command unseen_file_gzip opens segments through two layers of readers and closes the outer one only.
package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type segment struct {
	io.Reader
	file *os.File
}

type log struct {
	mu       sync.Mutex
	segments map[*segment]bool
}

func (l *log) open(path string) (*segment, error) {
	file, err := os.OpenFile(path, os.O_RDONLY, 0) //truth:FileNotClosed main.(*log).open
	if err != nil {
		return nil, err
	}
	s := &segment{bufio.NewReaderSize(file, 512), file}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments[s] = true
	return s, nil
}

func (l *log) tail(context.Context) error {
	for range 2 {
		s, err := l.open("/proc/self/stat")
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, s, 16); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	service.Run(func(string) service.Work { return (&log{segments: map[*segment]bool{}}).tail })
}
