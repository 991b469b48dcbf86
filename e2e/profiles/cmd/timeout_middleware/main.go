// Command timeout_middleware waits for ever below a middleware that has nothing to do with it.
package main

import (
	"context"
	"net/http"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type traced struct{ next http.RoundTripper }

func (t *traced) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Traceparent", "00-1-1-00")
	return t.next.RoundTrip(req)
}

type ledger struct {
	client *http.Client
	url    string
}

func (l *ledger) balance() error {
	resp, err := l.client.Get(l.url) //truth:CallWithoutDeadline main.(*ledger).balance
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func main() {
	service.Run(func(upstream string) service.Work {
		l := &ledger{&http.Client{Transport: &traced{&http.Transport{}}}, upstream + "/hang"}
		return func(context.Context) error {
			go l.balance()
			return nil
		}
	})
}
