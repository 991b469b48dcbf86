// Command wg_done counts a worker that returns early without saying that it is done.
package main

import (
	"context"
	"errors"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

func work(n int, wg *sync.WaitGroup) error {
	if n == 3 {
		return errors.New("refused")
	}
	wg.Done()
	return nil
}

func fanOut(context.Context) error {
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Add(1)
		go work(n, &wg)
	}
	go func() {
		wg.Wait() //truth:WaitGroupNeverDone main.fanOut.func1
	}()
	return nil
}

func main() {
	service.Run(func(string) service.Work { return fanOut })
}
