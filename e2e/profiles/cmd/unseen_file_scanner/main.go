// Command unseen_file_scanner returns early from a scan and keeps its scanner for the next page.
package main

import (
	"bufio"
	"context"
	"os"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type pages struct {
	mu   sync.Mutex
	next []*bufio.Scanner
}

func (p *pages) first(path string) (string, error) {
	file, err := os.Open(path) //truth:FileNotClosed main.(*pages).first
	if err != nil {
		return "", err
	}
	scanner := bufio.NewScanner(file)
	scanner.Scan()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = append(p.next, scanner)
	return scanner.Text(), nil
}

func main() {
	service.Run(func(string) service.Work {
		p := &pages{}
		return func(context.Context) error {
			for range 2 {
				if _, err := p.first("/proc/self/limits"); err != nil {
					return err
				}
			}
			return nil
		}
	})
}
