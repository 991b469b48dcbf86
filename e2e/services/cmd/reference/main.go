// Command reference is a Go service that does well what the others here do badly: it stops gracefully, says when it is
// ready, limits its rate, stops calling what fails and answers with less instead, reuses its connections, and logs so
// that a request can be followed. It has no fault. Each protection is shown at work by a test beside it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Config is how the service runs. Every wait has an end.
type Config struct {
	Addr            string
	Upstream        string        // base URL of the recommendations that are called
	UpstreamTimeout time.Duration // for one call; below the proxy's, so that this service gets to answer
	Breaker         BreakerConfig
	RequestsPerSec  float64       // tokens added to the bucket in a second
	Burst           int           // tokens the bucket holds
	Drain           time.Duration // between readiness going false and the listener closing: endpoints must forget the pod first
	ShutdownTimeout time.Duration // for requests in flight, after the drain
}

func defaults() Config {
	return Config{
		Addr: ":8080", UpstreamTimeout: 500 * time.Millisecond, Breaker: DefaultBreaker(),
		RequestsPerSec: 200, Burst: 50, Drain: 5 * time.Second, ShutdownTimeout: 10 * time.Second,
	}
}

func (c Config) validate() error {
	u, err := url.Parse(c.Upstream)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return fmt.Errorf("-upstream is %q, must be an http or https URL with a host", c.Upstream)
	case c.RequestsPerSec <= 0 || c.Burst < 1:
		return fmt.Errorf("-rps is %g and -burst %d, must be above 0 and 1 or more", c.RequestsPerSec, c.Burst)
	case c.UpstreamTimeout <= 0 || c.Drain < 0 || c.ShutdownTimeout <= 0:
		return fmt.Errorf("-upstream-timeout and -shutdown-timeout must be above 0, -drain 0 or more")
	}
	return nil
}

func main() {
	cfg := defaults()
	flag.StringVar(&cfg.Addr, "addr", cfg.Addr, "listen `address`")
	flag.StringVar(&cfg.Upstream, "upstream", "", "base `URL` of the recommendations")
	flag.DurationVar(&cfg.UpstreamTimeout, "upstream-timeout", cfg.UpstreamTimeout, "longest wait for one call")
	flag.BoolVar(&cfg.Breaker.Enabled, "breaker", true, "stop calling an upstream that fails, and answer with less")
	flag.Float64Var(&cfg.RequestsPerSec, "rps", cfg.RequestsPerSec, "requests per second that are served")
	flag.IntVar(&cfg.Burst, "burst", cfg.Burst, "requests that may come at once")
	flag.DurationVar(&cfg.Drain, "drain", cfg.Drain, "wait after readiness turns false")
	flag.DurationVar(&cfg.ShutdownTimeout, "shutdown-timeout", cfg.ShutdownTimeout, "wait for requests in flight")
	flag.Parse()
	if err := cfg.validate(); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(2)
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	listener, err := net.Listen("tcp", cfg.Addr)
	if err == nil {
		err = New(cfg, log).Serve(stop, listener)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// Serve answers until stop is done, and then stops gracefully: readiness turns false while the listener is still open,
// so that proxies send no new requests; then it closes, and requests in flight are let end.
func (s *Service) Serve(stop context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute, // above the proxy's keep-alive, or it meets closed connections
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	s.log.Info("listening", "addr", listener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	s.draining.Store(true)
	s.log.Info("draining", "wait_ms", s.cfg.Drain.Milliseconds())
	time.Sleep(s.cfg.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	s.log.Info("stopped", "orderly", err == nil)
	return err
}
