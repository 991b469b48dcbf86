// Command grpcleak makes a gRPC client connection for each request and never closes it: goroutines and a descriptor
// stay with every request, and none of the goroutines has a call of this program on its stack.
package main

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"leakwarden.dev/e2e/services/internal/service"
	"leakwarden.dev/e2e/services/internal/sidecar"
)

type stock struct{ target string }

// leaking makes a connection of its own.
func (s stock) leaking(ctx context.Context) (string, error) {
	connection, err := grpc.NewClient(s.target, grpc.WithTransportCredentials(insecure.NewCredentials())) // the fault: never closed
	if err != nil {
		return "", err
	}
	return s.check(ctx, connection)
}

// fixed closes it.
func (s stock) fixed(ctx context.Context) (string, error) {
	connection, err := grpc.NewClient(s.target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer connection.Close() // the repair
	return s.check(ctx, connection)
}

func (s stock) check(ctx context.Context, connection *grpc.ClientConn) (string, error) {
	answer, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return "", err
	}
	return answer.GetStatus().String(), nil
}

func serve(listener net.Listener) error {
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	return server.Serve(listener)
}

func main() {
	sidecar.Serve(serve)
	service.Main(service.Program{
		Name:  "grpcleak",
		About: "leaves a gRPC client connection open with every request",
		New: func(service.Config, *service.Metrics) (service.Forms, error) {
			target, err := sidecar.Start()
			if err != nil {
				return service.Forms{}, err
			}
			s := stock{target}
			return service.Forms{Leaking: s.leaking, Fixed: s.fixed}, nil
		},
	})
}
