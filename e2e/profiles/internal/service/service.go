// Package service is what the programs of this module share: a server on loopback with /work and profiles.
package service

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // the profiles are what these programs are for
	"time"
)

// Work answers one request.
type Work func(ctx context.Context) error

// Run serves /work and the profiles until the program is ended. `start` gets the URL of the upstream.
func Run(start func(upstream string) Work) {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	upstream := flag.String("upstream", "http://127.0.0.1:1", "the service this one depends on")
	flag.Parse()
	work := start(*upstream)
	http.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) { serve(w, r, work) })
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}

func serve(w http.ResponseWriter, r *http.Request, work Work) {
	if err := work(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, "done")
}
