// Package chassis is what every service of a company shares: a server with middleware as methods, and profiles.
package chassis

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // the profiles are what these programs are for
	"time"
)

// Addresses are those of what a service depends on.
type Addresses struct {
	HTTP, H2, GRPC, Redis, Kubernetes, Postgres, Websocket, NATS, Sink string
}

// Handle answers one request.
type Handle func(ctx context.Context, w http.ResponseWriter, r *http.Request) error

// Service is a server with the company's middleware.
type Service struct {
	client *http.Client
	quotes string
}

// New makes a service that asks for a quote before each of its answers, as real ones ask many others.
func New(up Addresses) *Service {
	return &Service{&http.Client{Timeout: 5 * time.Second}, up.HTTP}
}

func (s *Service) recovered(next Handle) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if broken := recover(); broken != nil {
				http.Error(w, "broken", http.StatusInternalServerError)
			}
		}()
		if err := s.quote(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if err := next(r.Context(), w, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	}
}

func (s *Service) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		next.ServeHTTP(w, r)
		slog.Debug("answered", "path", r.URL.Path, "took", time.Since(started))
	})
}

func (s *Service) quote(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.quotes+"/quote", nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// Run serves /work and the profiles until the program is ended.
func (s *Service) Run(work Handle) error {
	http.Handle("/work", s.logged(s.recovered(work)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}
