// Command recv_future waits for values that are never set when the lookup fails.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/feed"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func lookup(known bool) *feed.Future[string] {
	f := feed.NewFuture[string]()
	if known {
		f.Set("value")
	}
	return f
}

func main() {
	service.Run(func(string) service.Work {
		return func(context.Context) error {
			for _, known := range []bool{true, false} {
				go func() { _ = lookup(known).Get() }()
			}
			return nil
		}
	})
}
