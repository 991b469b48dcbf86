// Command leaky is a small shop service with one fault: it never closes the body of its price service's answers.
// It brings its own customers, so that there is something to see at once. Standard library only.
//
//	leaky                          listens on 127.0.0.1:8080, leaks in every request
//	leaky -leak-every 50           ... in one request of fifty
//	leaky -fixed                   runs the repaired form
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // profiles under /debug/pprof, which name the line
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen `address` of the service, its metrics and its profiles")
	fixed := flag.Bool("fixed", false, "run the repaired form")
	leakEvery := flag.Int("leak-every", 1, "leak in one request of so many")
	customers := flag.Float64("customers", 20, "requests per second that the service sends itself, 0 for none")
	flag.Parse()
	if *leakEvery < 1 || *customers < 0 || *customers > 1000 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "leaky: -leak-every must be 1 or more, -customers 0 to 1000, and nothing may follow the flags")
		os.Exit(2)
	}
	if err := run(*addr, *fixed, *leakEvery, *customers); err != nil {
		fmt.Fprintln(os.Stderr, "leaky:", err)
		os.Exit(1)
	}
}

func run(addr string, fixed bool, leakEvery int, customers float64) error {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()

	prices, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(prices, http.HandlerFunc(price)) }()

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := &shop{prices: "http://" + prices.Addr().String(), client: &http.Client{}, fixed: fixed, leakEvery: int64(leakEvery)}
	http.HandleFunc("GET /checkout", s.checkout)
	http.HandleFunc("GET /metrics", s.metrics)
	server := &http.Server{Handler: http.DefaultServeMux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Println("listening on", listener.Addr())
	if customers > 0 {
		go visit(stop, "http://"+listener.Addr().String()+"/checkout", customers)
	}

	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	ctx, giveUp := context.WithTimeout(context.Background(), 2*time.Second)
	defer giveUp()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// visit sends requests one after the other at a steady rate until stop is done.
func visit(stop context.Context, url string, perSecond float64) {
	client := &http.Client{Timeout: 2 * time.Second}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-stop.Done():
			return
		case <-ticker.C:
			if resp, err := client.Get(url); err == nil {
				resp.Body.Close()
			}
		}
	}
}
