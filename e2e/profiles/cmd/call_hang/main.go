// Command call_hang calls an upstream that hangs, without a timeout.
package main

import (
	"context"
	"io"
	"net/http"

	"leakwarden.dev/e2e/profiles/internal/service"
)

func quote(url string) ([]byte, error) {
	resp, err := http.Get(url + "/hang") //truth:CallWithoutDeadline main.quote
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func main() {
	service.Run(func(upstream string) service.Work {
		return func(context.Context) error { _, err := quote(upstream); return err }
	})
}
