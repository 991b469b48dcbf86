// Command hostile does its work without a fault, and answers who asks it for profiles in every bad way: it hangs, sends
// garbage, or sends ten gigabytes. What such a pod costs the one who asks is what it is for.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"leakwarden.dev/e2e/services/internal/service"
)

const (
	hangs   = ":6071"
	garbage = ":6072"
	endless = ":6073"

	enough = 10 << 30
)

func main() {
	service.Main(service.Program{
		Name:  "hostile",
		About: "does its work; its profiles hang on port 6071, are garbage on 6072 and 10 GB on 6073",
		New: func(service.Config, *service.Metrics) (service.Forms, error) {
			serve(hangs, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			serve(garbage, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(noise(64 << 10)) })
			serve(endless, func(w http.ResponseWriter, _ *http.Request) {
				chunk := noise(1 << 20)
				for sent := 0; sent < enough; sent += len(chunk) {
					if _, err := w.Write(chunk); err != nil {
						return // whoever asked has had enough
					}
				}
			})
			work := func(context.Context) (string, error) { return "done", nil }
			return service.Forms{Fixed: work}, nil
		},
	})
}

func serve(addr string, h http.HandlerFunc) {
	server := &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { fmt.Println(server.ListenAndServe()) }()
}

func noise(size int) []byte {
	made := make([]byte, size)
	for i := range made {
		made[i] = byte(rand.Uint32())
	}
	return made
}
