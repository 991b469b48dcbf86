package main

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// shop answers /checkout by asking the price service.
type shop struct {
	prices    string
	client    *http.Client
	fixed     bool
	leakEvery int64
	served    atomic.Int64
	failed    atomic.Int64
}

func (s *shop) checkout(w http.ResponseWriter, _ *http.Request) {
	ask := s.askOnce
	if n := s.served.Add(1); s.fixed || n%s.leakEvery != 0 {
		ask = s.askAndClose
	}
	if err := ask(); err != nil {
		s.failed.Add(1)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, "ok")
}

// askOnce looks at the status only, and forgets that there is a body: the connection can then neither be used again nor
// be closed. One descriptor and two goroutines stay with every call.
func (s *shop) askOnce() error {
	resp, err := s.client.Get(s.prices)
	if err != nil {
		return err
	}
	// The fault: resp.Body is not closed.
	return check(resp)
}

// askAndClose is the repaired form.
func (s *shop) askAndClose() error {
	resp, err := s.client.Get(s.prices)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	return check(resp)
}

func check(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the price service answered %d", resp.StatusCode)
	}
	return nil
}

// price is the service that is asked, in the same process so that the example needs nothing else.
func price(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, `{"price": 42}`)
}
