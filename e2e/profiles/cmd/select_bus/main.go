// Command select_bus subscribes for every request; the goroutine that stays belongs to a library.
package main

import (
	"context"

	"example.org/courier/bus"
	"leakwarden.dev/e2e/profiles/internal/service"
)

type watcher struct{ bus *bus.Bus }

func (w *watcher) watch(ctx context.Context) error {
	w.bus.Subscribe(func(string) {}) //truth:MadeHereAndKept main.(*watcher).watch
	return ctx.Err()
}

func main() {
	service.Run(func(string) service.Work {
		w := &watcher{bus.New()}
		return w.watch
	})
}
