// Package worker is what a company has in a library of its own: a worker that runs until it is stopped.
package worker

import "time"

// Worker has a goroutine until Stop.
type Worker struct {
	jobs chan func()
	stop chan struct{}
}

// Start makes a worker.
func Start() *Worker {
	w := &Worker{jobs: make(chan func()), stop: make(chan struct{})}
	go w.loop()
	return w
}

func (w *Worker) loop() {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case job := <-w.jobs:
			job()
		case <-ticker.C:
		case <-w.stop:
			return
		}
	}
}

// Do runs a job.
func (w *Worker) Do(job func()) { w.jobs <- job }

// Stop ends the worker.
func (w *Worker) Stop() { close(w.stop) }
