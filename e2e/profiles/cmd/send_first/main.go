// Command send_first asks twice and takes the first answer; the second has nobody to go to.
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type page struct{ text []byte }

func render(n int) page {
	time.Sleep(time.Duration(n) * time.Millisecond)
	return page{make([]byte, 512)}
}

func first(context.Context) error {
	pages := make(chan page)
	for n := range 2 {
		go func() {
			pages <- render(n + 1) //truth:ChannelSend main.first.func1
		}()
	}
	<-pages
	return nil
}

func main() {
	service.Run(func(string) service.Work { return first })
}
