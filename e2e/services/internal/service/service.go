// Package service is what a Go service in a cluster has anyway: probes, metrics, profiles, JSON logs, a bounded
// upstream call and an orderly stop. The programs in cmd add one thing each: the work, in a faulty and in a
// repaired form.
package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// Work answers one request on /work. An error means that something the service depends on failed it.
type Work func(ctx context.Context) (string, error)

// Forms are the two ways to do the same work. A program without a fault leaves Leaking nil.
type Forms struct {
	Leaking Work
	Fixed   Work
	Close   func() // optional: releases what the work holds, at the end of an orderly stop
}

// Program is one of the commands.
type Program struct {
	Name          string
	About         string // one line, for -help
	NeedsUpstream bool
	Defaults      Defaults
	Flags         func(*flag.FlagSet) // the program's own flags, optional
	New           func(Config, *Metrics) (Forms, error)
}

type server struct {
	cfg      Config
	log      *slog.Logger
	metrics  *Metrics
	forms    Forms
	draining atomic.Bool
	requests atomic.Int64
}

func run(p Program, cfg Config) error {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("service", p.Name)
	// The limit comes first: everything opened from here on counts against it.
	if err := lowerDescriptorLimit(cfg.Nofile); err != nil {
		return err
	}
	metrics := newMetrics()
	forms, err := p.New(cfg, metrics)
	if err != nil {
		return err
	}
	s := &server{cfg: cfg, log: log, metrics: metrics, forms: forms}

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()

	public := s.httpServer(s.publicHandler())
	profiles := s.httpServer(pprofHandler())
	failed := make(chan error, 2)
	for srv, addr := range map[*http.Server]string{public: cfg.Addr, profiles: cfg.PprofAddr} {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("cannot listen: %w", err)
		}
		go func() { failed <- srv.Serve(listener) }()
	}
	log.Info("listening", "addr", cfg.Addr, "pprof_addr", cfg.PprofAddr, "fixed", cfg.Fixed || forms.Leaking == nil,
		"leak_every", cfg.LeakEvery, "nofile", cfg.Nofile)

	select {
	case err := <-failed:
		return fmt.Errorf("server stopped: %w", err)
	case <-stop.Done():
	}
	return s.shutdown(public, profiles)
}

// shutdown lets endpoints forget this pod before it stops accepting, then waits for requests in flight.
func (s *server) shutdown(public, profiles *http.Server) error {
	started := time.Now()
	s.draining.Store(true)
	s.log.Info("draining", "wait_ms", s.cfg.Drain.Milliseconds())
	time.Sleep(s.cfg.Drain)

	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownTimeout)
	defer cancel()
	err := public.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("requests still in flight after %s were cut off", s.cfg.ShutdownTimeout)
	}
	_ = profiles.Close() // nobody's request: a profile being taken may be cut off
	if s.forms.Close != nil {
		s.forms.Close()
	}
	s.log.Info("stopped", "duration_ms", time.Since(started).Milliseconds(), "orderly", err == nil)
	return err
}

func (s *server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       s.cfg.IdleTimeout,
		// "accept4: too many open files" belongs in the same JSON log as the requests that fail for it.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

func (s *server) publicHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.HandleFunc("/work", s.serveWork)
	return mux
}

func pprofHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
