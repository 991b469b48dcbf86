// Command sleep_loop retries for ever, with a pause, what can never work.
package main

import (
	"context"
	"errors"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

func deliver() error { return errors.New("the address is wrong") }

func retry(action func() error) {
	for action() != nil {
		time.Sleep(500 * time.Millisecond) //truth:SleepLoop main.retry
	}
}

func main() {
	service.Run(func(string) service.Work {
		return func(context.Context) error {
			go retry(deliver)
			return nil
		}
	})
}
