// Command send_timeout gives up waiting for a worker, which then cannot hand its result over.
package main

import (
	"context"
	"errors"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type job struct {
	id     int
	result chan error
}

func (j *job) run(delay time.Duration) {
	time.Sleep(delay)
	j.result <- errors.New("too late") //truth:ChannelSend main.(*job).run
}

func submit(ctx context.Context) error {
	j := &job{result: make(chan error)}
	go j.run(20 * time.Millisecond)
	select {
	case err := <-j.result:
		return err
	case <-time.After(5 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func main() {
	service.Run(func(string) service.Work { return submit })
}
