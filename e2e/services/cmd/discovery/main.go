// Command discovery tells Prometheus the pods and nodes of the cluster through http_sd_configs, under the names
// that Prometheus's own kubernetes_sd_configs gives them, so that the usual relabelling works. Debian builds
// Prometheus without the latter.
//
// It runs beside Prometheus, on loopback, with the pod's service account, and lists on demand. When the API server
// does not answer it says 503, on which Prometheus keeps the targets it has.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type api struct {
	base   string
	secret string // directory with token and ca.crt
	client *http.Client
}

func newAPI(base, secret string) (*api, error) {
	ca, err := os.ReadFile(filepath.Join(secret, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("ca.crt holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return &api{base, secret, &http.Client{Timeout: 10 * time.Second, Transport: transport}}, nil
}

const pageSize = "500"

// list reads all pages of a collection. The token is read each time, because it rotates.
func list[T any](a *api, path string) ([]T, error) {
	token, err := os.ReadFile(filepath.Join(a.secret, "token"))
	if err != nil {
		return nil, err
	}
	var items []T
	for next := ""; ; {
		query := url.Values{"limit": {pageSize}, "continue": {next}}
		req, err := http.NewRequest(http.MethodGet, a.base+path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		var page struct {
			Metadata struct{ Continue string }
			Items    []T
		}
		if err := get(a.client, req, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if next = page.Metadata.Continue; next == "" {
			return items, nil
		}
	}
}

func get(client *http.Client, req *http.Request, into any) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", req.URL.Path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// serve answers with the targets made from a fresh list.
func serve[T any](a *api, path string, targets func(T) []group) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		items, err := list[T](a, path)
		if err != nil {
			slog.Error("cannot list", "path", path, "error", err.Error())
			http.Error(w, "the API server does not answer", http.StatusServiceUnavailable)
			return
		}
		groups := []group{}
		for _, item := range items {
			groups = append(groups, targets(item)...)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(groups) // Prometheus hung up
	}
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	addr := flag.String("addr", "127.0.0.1:9091", "listen `address`")
	secret := flag.String("service-account", "/var/run/secrets/kubernetes.io/serviceaccount",
		"`directory` with token and ca.crt")
	inCluster := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	server := flag.String("server", "https://"+inCluster, "`URL` of the API server")
	flag.Parse()
	a, err := newAPI(*server, *secret)
	if err != nil {
		fmt.Fprintf(os.Stderr, "discovery: no service account: %v\n", err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pods", serve(a, "/api/v1/pods", podTargets))
	mux.HandleFunc("GET /nodes", serve(a, "/api/v1/nodes", nodeTargets))
	srv := &http.Server{Addr: *addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	slog.Info("listening", "addr", *addr)
	fmt.Fprintf(os.Stderr, "discovery: %v\n", srv.ListenAndServe())
	os.Exit(1)
}
