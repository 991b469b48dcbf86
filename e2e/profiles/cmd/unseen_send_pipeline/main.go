// Command unseen_send_pipeline takes two values from a pipeline of three stages and leaves.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/service"
)

func source() <-chan int {
	out := make(chan int)
	go func() {
		for n := 0; ; n++ {
			out <- n //truth:ChannelSend main.source.func1
		}
	}()
	return out
}

func first(in <-chan int, n int) (sum int) {
	for v := range in {
		if sum += v; n == 1 {
			return sum
		}
		n--
	}
	return sum
}

func main() {
	service.Run(func(string) service.Work {
		return func(context.Context) error {
			first(source(), 3)
			return nil
		}
	})
}
