// Command goroutineleak asks its upstream twice and takes the first answer. The goroutine with the second one
// waits for ever to hand it over, and keeps the page it made: goroutines and memory grow, descriptors do not. It
// ends when the container's memory limit does.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"

	"leakwarden.dev/e2e/services/internal/service"
)

type hedger struct {
	cfg       service.Config
	client    *http.Client
	pageBytes int
}

type page struct {
	content []byte
	err     error
}

// leaking hands answers over on a channel without room for the one that comes second.
func (h hedger) leaking(ctx context.Context) (string, error) {
	return h.first(ctx, make(chan page)) // the fault: the second sender blocks for ever
}

// fixed has room for both answers, so both senders end; the one not taken is garbage.
func (h hedger) fixed(ctx context.Context) (string, error) {
	return h.first(ctx, make(chan page, 2)) // the repair
}

func (h hedger) first(ctx context.Context, pages chan page) (string, error) {
	// The slower call is let finish (within the upstream timeout): cut off, it would not have a page to hold on to.
	ctx = context.WithoutCancel(ctx)
	for range 2 {
		go func() { pages <- h.render(ctx) }()
	}
	p := <-pages
	if p.err != nil {
		return "", p.err
	}
	return fmt.Sprintf("rendered %d bytes", len(p.content)), nil
}

// render makes a page of pageBytes out of the upstream's answer.
func (h hedger) render(ctx context.Context) page {
	body, err := service.Fetch(ctx, h.client, h.cfg)
	if err != nil {
		return page{err: err}
	}
	return page{content: bytes.Repeat(body, h.pageBytes/max(1, len(body))+1)}
}

func main() {
	pageBytes := 256 << 10
	service.Main(service.Program{
		Name:          "goroutineleak",
		About:         "leaves a goroutine blocked on a channel with every request",
		NeedsUpstream: true,
		Flags: func(fs *flag.FlagSet) {
			fs.IntVar(&pageBytes, "page-bytes", pageBytes, "memory that each blocked goroutine holds")
		},
		New: func(cfg service.Config, _ *service.Metrics) (service.Forms, error) {
			if pageBytes < 0 {
				return service.Forms{}, fmt.Errorf("-page-bytes is %d, must be 0 or more", pageBytes)
			}
			h := hedger{cfg, &http.Client{Transport: service.NewTransport(cfg)}, pageBytes}
			return service.Forms{Leaking: h.leaking, Fixed: h.fixed}, nil
		},
	})
}
