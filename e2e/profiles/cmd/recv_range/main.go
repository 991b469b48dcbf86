// Command recv_range starts a consumer for every request and never closes its channel.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type audit struct{ lines chan string }

func (a *audit) consume() {
	total := 0
	for line := range a.lines { //truth:ChannelReceive main.(*audit).consume
		total += len(line)
	}
}

func record(context.Context) error {
	a := &audit{make(chan string, 4)}
	go a.consume()
	a.lines <- "begin"
	a.lines <- "end"
	return nil
}

func main() {
	service.Run(func(string) service.Work { return record })
}
