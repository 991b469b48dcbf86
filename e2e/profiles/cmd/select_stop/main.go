// Command select_stop starts a worker for every request whose stop channel nobody closes.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type worker struct {
	jobs chan int
	stop chan struct{}
	sum  int
}

func (w *worker) loop() {
	for {
		select { //truth:SelectNeverWoken main.(*worker).loop
		case n := <-w.jobs:
			w.sum += n
		case <-w.stop:
			return
		}
	}
}

func handle(context.Context) error {
	w := &worker{jobs: make(chan int), stop: make(chan struct{})}
	go w.loop()
	w.jobs <- 1
	return nil
}

func main() {
	service.Run(func(string) service.Work { return handle })
}
