// Command nginxmetrics counts nginx's requests by status code, which nginx itself does not export. nginx sends its access
// log to it as syslog over UDP; /metrics shows what ingress-nginx makes of the same values, under the same names
// (kubernetes/ingress-nginx, internal/ingress/metric/collectors/socket.go): the first part of the path is the Ingress.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// mostIngresses bounds the series: paths are written by whoever sends requests.
const mostIngresses = 100

var ingressName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

type entry struct {
	URI          string `json:"uri"`
	Status       string `json:"status"`
	UpstreamTook string `json:"upstream_time"`
}

type exporter struct {
	namespace string
	known     map[string]bool
	requests  *prometheus.CounterVec
	took      *prometheus.HistogramVec
}

func newExporter(namespace string, registry prometheus.Registerer) *exporter {
	labels := []string{"namespace", "ingress", "status"}
	e := &exporter{
		namespace: namespace,
		known:     map[string]bool{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nginx_ingress_controller_requests", Help: "The total number of client requests",
		}, labels),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "nginx_ingress_controller_response_duration_seconds",
			Help:    "The time spent on receiving the response from the upstream server",
			Buckets: prometheus.DefBuckets,
		}, labels),
	}
	registry.MustRegister(e.requests, e.took)
	return e
}

// add counts one line; false where it is not one of the access log.
func (e *exporter) add(line []byte) bool {
	begin := bytes.IndexByte(line, '{')
	if begin < 0 {
		return false
	}
	var seen entry
	if json.Unmarshal(line[begin:], &seen) != nil {
		return false
	}
	ingress, _, _ := strings.Cut(strings.TrimPrefix(seen.URI, "/"), "/")
	if code, err := strconv.Atoi(seen.Status); err != nil || code < 100 || code > 599 || !ingressName.MatchString(ingress) {
		return false
	}
	if !e.known[ingress] {
		if len(e.known) >= mostIngresses {
			return false
		}
		e.known[ingress] = true
		// A counter that appears with its first error has no rate at that moment.
		for _, code := range []string{"200", "502", "504"} {
			e.requests.WithLabelValues(e.namespace, ingress, code)
		}
	}
	e.requests.WithLabelValues(e.namespace, ingress, seen.Status).Inc()
	// "-" where no upstream was reached.
	if took, err := strconv.ParseFloat(seen.UpstreamTook, 64); err == nil {
		e.took.WithLabelValues(e.namespace, ingress, seen.Status).Observe(took)
	}
	return true
}

func run(namespace, syslog, addr string) error {
	socket, err := net.ListenPacket("udp", syslog)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	e := newExporter(namespace, registry)
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, _, err := socket.ReadFrom(buffer)
			if err != nil {
				slog.Error("syslog", "error", err.Error())
				os.Exit(1)
			}
			e.add(buffer[:n])
		}
	}()
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

func main() {
	namespace := flag.String("namespace", os.Getenv("NAMESPACE"), "namespace of the Ingresses that are counted")
	syslog := flag.String("syslog", "127.0.0.1:5140", "UDP address that nginx logs to")
	addr := flag.String("addr", ":9113", "address of /metrics")
	flag.Parse()
	if err := run(*namespace, *syslog, *addr); err != nil {
		fmt.Fprintln(os.Stderr, "nginxmetrics:", err)
		os.Exit(1)
	}
}
