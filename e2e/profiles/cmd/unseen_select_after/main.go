// Command unseen_select_after watches every upload with a fresh timer each round; its done channel has no sender.
package main

import (
	"context"
	"runtime/pprof"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type upload struct {
	done  chan struct{}
	ticks int
}

func (u *upload) watch() {
	for {
		select { //truth:TickerNeverStopped main.(*upload).watch
		case <-time.After(3 * time.Second):
			u.ticks++
		case <-u.done:
			return
		}
	}
}

func begin(ctx context.Context) error {
	pprof.Do(ctx, pprof.Labels("handler", "upload"), func(context.Context) {
		u := &upload{done: make(chan struct{})}
		go u.watch()
	})
	return nil
}

func main() {
	service.Run(func(string) service.Work { return begin })
}
