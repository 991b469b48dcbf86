// Command grpcstock is a gRPC service of known capacity: some calls at once, each of the same length, and a rate limit.
// It has no fault; load tests are held against it. Its method is that of gRPC's health service, with reflection.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

type stock struct {
	*health.Server
	work    time.Duration
	slots   chan struct{}
	limiter *rate.Limiter
}

// Check waits for a slot, and then as long as the work takes.
func (s stock) Check(ctx context.Context, asked *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if !s.limiter.Allow() {
		return nil, status.Error(codes.ResourceExhausted, "too many calls")
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	defer func() { <-s.slots }()
	select {
	case <-time.After(s.work):
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return s.Server.Check(ctx, asked)
}

func serve(addr, metrics string, s stock) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	page, err := net.Listen("tcp", metrics)
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(page, promhttp.Handler()) }()
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, s)
	reflection.Register(server)
	fmt.Printf("listening grpc=%s metrics=%s\n", listener.Addr(), page.Addr())
	return server.Serve(listener)
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "gRPC `address`")
	metrics := flag.String("metrics", "127.0.0.1:0", "metrics `address`")
	slots := flag.Int("slots", 4, "calls at once")
	work := flag.Duration("work", 20*time.Millisecond, "length of a call")
	limit := flag.Float64("limit", 1e6, "calls per second that are let in")
	burst := flag.Int("burst", 1000, "calls that are let in at once")
	flag.Parse()
	if *slots < 1 || *work < 0 || *limit <= 0 || *burst < 1 {
		fmt.Fprintln(os.Stderr, "grpcstock: -slots and -burst must be 1 or more, -work 0 or more, -limit above 0")
		os.Exit(2)
	}
	s := stock{health.NewServer(), *work, make(chan struct{}, *slots), rate.NewLimiter(rate.Limit(*limit), *burst)}
	if err := serve(*addr, *metrics, s); err != nil {
		fmt.Fprintln(os.Stderr, "grpcstock:", err)
		os.Exit(1)
	}
}
