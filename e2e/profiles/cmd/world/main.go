// Command world is what the programs of this module meet: an upstream to call, and the load that calls them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "load" {
		load(os.Args[2:])
		return
	}
	upstream()
}

func upstream() {
	page := strings.Repeat("x", 2048)
	http.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
	http.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		io.WriteString(w, page)
	})
	http.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

// load asks at a fixed rate whether or not earlier requests were answered, as clients of a service do.
func load(args []string) {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	url := flags.String("url", "", "what to ask")
	rate := flags.Int("rate", 300, "requests per second")
	length := flags.Duration("for", 10*time.Second, "how long")
	idle := flags.Int("idle", 0, "connections that send one request and then stay open, idle")
	flags.Parse(args)
	ctx, cancel := context.WithTimeout(context.Background(), *length)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	for range *idle {
		go ask(ctx, &http.Client{Transport: &http.Transport{}}, *url)
	}
	var asked, answered atomic.Int64
	ticker := time.NewTicker(time.Second / time.Duration(*rate))
	for {
		select {
		case <-ctx.Done():
			fmt.Println("asked", asked.Load(), "answered", answered.Load())
			return
		case <-ticker.C:
			asked.Add(1)
			go func() {
				if ask(ctx, client, *url) {
					answered.Add(1)
				}
			}()
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}
