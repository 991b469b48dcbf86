// Command file_reader keeps readers of a file for later in a map that only grows.
package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type reader struct {
	lines *bufio.Reader
	close io.Closer
}

func openLog(path string) (*reader, error) {
	file, err := os.Open(path) //truth:FileNotClosed main.openLog
	if err != nil {
		return nil, err
	}
	return &reader{bufio.NewReader(file), file}, nil
}

func main() {
	service.Run(func(string) service.Work {
		var mu sync.Mutex
		open := map[int]*reader{}
		return func(context.Context) error {
			r, err := openLog("/proc/self/status")
			if err != nil {
				return err
			}
			_, err = r.lines.ReadString('\n')
			mu.Lock()
			defer mu.Unlock()
			open[len(open)] = r
			return err
		}
	})
}
