// Package upstream is everything that the services depend on, on loopback.
package upstream

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5/pgproto3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"leakwarden.dev/e2e/libraries/internal/chassis"
)

// Start starts all of it.
func Start() (chassis.Addresses, error) {
	plain := httptest.NewServer(http.HandlerFunc(answer))
	second := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	second.EnableHTTP2 = true
	second.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	second.StartTLS()
	redis, err := miniredis.Run()
	if err != nil {
		return chassis.Addresses{}, err
	}
	rpc := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(rpc, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return chassis.Addresses{}, err
	}
	go func() { _ = rpc.Serve(listener) }()
	return chassis.Addresses{
		HTTP: plain.URL, H2: second.URL, GRPC: listener.Addr().String(), Redis: redis.Addr(), Kubernetes: plain.URL,
		Postgres: each(postgres), Websocket: "ws" + strings.TrimPrefix(plain.URL, "http") + "/ws", NATS: each(nats),
		Sink: each(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),
	}, nil
}

func each(serve func(net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(connection)
		}
	}()
	return listener.Addr().String()
}

var upgrader = websocket.Upgrader{}

func answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ws":
		connection, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		for {
			if _, _, err := connection.ReadMessage(); err != nil {
				return
			}
		}
	case r.URL.Path == "/export":
		for n := 0; n < 256; n++ {
			fmt.Fprintf(w, "%08d,%064d\n", n, n)
		}
	case strings.HasPrefix(r.URL.Path, "/api/"):
		kubernetes(w, r)
	default:
		fmt.Fprintln(w, "42")
	}
}

// kubernetes answers a list of config maps, and a watch on them with one event every ten seconds.
func kubernetes(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	one := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "a", "namespace": "shop", "uid": "1", "resourceVersion": "7"},
	}
	if r.URL.Query().Get("watch") == "" || r.URL.Query().Get("watch") == "false" {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "v1", "kind": "ConfigMapList", "metadata": map[string]any{"resourceVersion": "7"}, "items": []any{one},
		})
		return
	}
	for {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "MODIFIED", "object": one})
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(10 * time.Second):
		}
	}
}

// postgres lets everyone in and answers each query with nothing.
func postgres(connection net.Conn) {
	defer connection.Close()
	backend := pgproto3.NewBackend(connection, connection)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	backend.Send(&pgproto3.AuthenticationOk{})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if backend.Flush() != nil {
		return
	}
	for {
		message, err := backend.Receive()
		if err != nil {
			return
		}
		switch message.(type) {
		case *pgproto3.Query:
			backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")})
			backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		case *pgproto3.Terminate:
			return
		}
		if backend.Flush() != nil {
			return
		}
	}
}

// nats speaks as much of the protocol as a client needs to stay connected.
func nats(connection net.Conn) {
	defer connection.Close()
	fmt.Fprintf(connection, "INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"max_payload\":1048576}\r\n")
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "PING") {
			fmt.Fprint(connection, "PONG\r\n")
		}
	}
}
