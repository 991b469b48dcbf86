// Command body_direct looks at the status of an answer and forgets its body.
package main

import (
	"context"
	"fmt"
	"net/http"

	"leakwarden.dev/e2e/profiles/internal/service"
)

func fetchUser(url string) error {
	resp, err := http.Get(url + "/page") //truth:ResponseBodyNotClosed main.fetchUser
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("upstream said %s", resp.Status)
	}
	return nil
}

func main() {
	service.Run(func(upstream string) service.Work {
		return func(context.Context) error { return fetchUser(upstream) }
	})
}
