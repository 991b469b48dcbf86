// Command fileleak spools its upstream's answer to a temporary file and never closes it: one descriptor stays with
// every request. Nothing else grows, the goroutines stay flat.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"

	"leakwarden.dev/e2e/services/internal/service"
)

type spooler struct {
	cfg    service.Config
	client *http.Client

	mu   sync.Mutex
	open map[string]*os.File // by name, "for later"
}

// leaking files every spool under its name and never takes one out. (Merely forgetting an *os.File would not do:
// the garbage collector closes those sooner or later.)
func (s *spooler) leaking(ctx context.Context) (string, error) {
	file, err := newSpool()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.open[file.Name()] = file // the fault: nothing ever closes or removes it
	s.mu.Unlock()
	return s.spool(ctx, file)
}

// fixed closes the spool when the request is answered.
func (s *spooler) fixed(ctx context.Context) (string, error) {
	file, err := newSpool()
	if err != nil {
		return "", err
	}
	defer file.Close() // the repair
	return s.spool(ctx, file)
}

func (s *spooler) spool(ctx context.Context, file *os.File) (string, error) {
	body, err := service.Fetch(ctx, s.client, s.cfg)
	if err != nil {
		return "", err
	}
	n, err := file.Write(body)
	return fmt.Sprintf("spooled %d bytes", n), err
}

// newSpool opens a file and unlinks it at once, so that no disk space is left behind whatever happens.
func newSpool() (*os.File, error) {
	file, err := os.CreateTemp("", "spool-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func main() {
	service.Main(service.Program{
		Name:          "fileleak",
		About:         "spools its upstream's answers to files that it never closes",
		NeedsUpstream: true,
		New: func(cfg service.Config, _ *service.Metrics) (service.Forms, error) {
			s := &spooler{cfg: cfg, client: &http.Client{Transport: service.NewTransport(cfg)}, open: map[string]*os.File{}}
			return service.Forms{Leaking: s.leaking, Fixed: s.fixed}, nil
		},
	})
}
