// Command send_helper publishes through a generic helper to a feed that nobody reads any more.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/feed"
	"leakwarden.dev/e2e/profiles/internal/service"
)

type event struct{ kind string }

type publisher struct{ out chan event }

func (p *publisher) publish(kind string) { feed.Emit(p.out, event{kind}) }

func main() {
	service.Run(func(string) service.Work {
		p := &publisher{make(chan event, 100)}
		return func(context.Context) error {
			go p.publish("viewed")
			return nil
		}
	})
}
