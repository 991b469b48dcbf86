// Perobject asks Prometheus as an autoscaler with a query per object does, and prints the CPU time of each round.
//
// The shape is KEDA's: a loop per object, a trigger per signal, for each trigger an HTTP client with a transport of its
// own that keeps its connection, one instant query per trigger and round, and an answer of exactly one element
// (kedacore/keda: pkg/scaling/scale_handler.go, pkg/scalers/prometheus_scaler.go, pkg/util/http.go). Only the queries
// are here: no Kubernetes client, no HPA, no status.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var signals = []string{
	"process_open_fds", "container_sockets", "go_goroutines",
	"go_memstats_heap_inuse_bytes", "go_sql_in_use_connections", "container_memory_working_set_bytes",
}

type trigger struct {
	query  string
	client *http.Client
}

type round struct {
	Queries int64   `json:"queries"`
	Failed  int64   `json:"failed"`
	CPU     float64 `json:"cpu"`   // seconds of this process
	Clock   float64 `json:"clock"` // seconds
}

func (t *trigger) ask(server string) (float64, error) {
	at := time.Now().UTC().Format(time.RFC3339)
	answer, err := t.client.Get(fmt.Sprintf("%s/api/v1/query?query=%s&time=%s", server, url.QueryEscape(t.query), at))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	var found struct {
		Data struct {
			Result []struct {
				Value []any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return 0, err
	}
	if len(found.Data.Result) != 1 || len(found.Data.Result[0].Value) != 2 {
		return 0, fmt.Errorf("%d elements", len(found.Data.Result))
	}
	text, ok := found.Data.Result[0].Value[1].(string)
	if !ok {
		return 0, fmt.Errorf("the value is not a string")
	}
	return strconv.ParseFloat(text, 64)
}

func spent() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func main() {
	server := flag.String("server", "", "address of Prometheus")
	objects := flag.Int("objects", 200, "Deployments")
	perNamespace := flag.Int("per-namespace", 20, "Deployments of a namespace")
	rounds := flag.Int("rounds", 3, "rounds that are measured; one before them opens the connections")
	pause := flag.Duration("pause", 5*time.Second, "time between two rounds")
	flag.Parse()

	loops := make([][]*trigger, *objects)
	for n := range loops {
		for _, signal := range signals {
			query := fmt.Sprintf(`max(%s{namespace="team-%d",pod=~"api-%d-.+"})`, signal, n / *perNamespace, n)
			client := &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{}}
			loops[n] = append(loops[n], &trigger{query, client})
		}
	}
	for number := 0; number <= *rounds; number++ {
		var asked, failed atomic.Int64
		var all sync.WaitGroup
		before, began := spent(), time.Now()
		for _, triggers := range loops {
			all.Go(func() {
				for _, each := range triggers {
					asked.Add(1)
					if _, err := each.ask(*server); err != nil {
						failed.Add(1)
					}
				}
			})
		}
		all.Wait()
		if number > 0 {
			done := round{asked.Load(), failed.Load(), spent() - before, time.Since(began).Seconds()}
			if err := json.NewEncoder(os.Stdout).Encode(done); err != nil {
				panic(err)
			}
		}
		time.Sleep(*pause)
	}
}
