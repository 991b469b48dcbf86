// Command unseen_send_generic starts jobs and looks at the first result only.
package main

import (
	"context"

	"leakwarden.dev/e2e/profiles/internal/jobs"
	"leakwarden.dev/e2e/profiles/internal/service"
)

func quote() (float64, error) { return 1.5, nil }

func best(context.Context) error {
	offers := []<-chan jobs.Result[float64]{jobs.Start(quote), jobs.Start(quote), jobs.Start(quote)}
	return (<-offers[0]).Err
}

func main() {
	service.Run(func(string) service.Work { return best })
}
