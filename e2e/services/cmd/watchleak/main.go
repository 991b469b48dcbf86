// Command watchleak watches the Kubernetes API for each request until the first event and never stops the watch: a
// connection and its goroutines stay with every request.
package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"leakwarden.dev/e2e/services/internal/service"
	"leakwarden.dev/e2e/services/internal/sidecar"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

type tenants struct{ client dynamic.Interface }

// leaking leaves the watch as it is after its first event.
func (t tenants) leaking(ctx context.Context) (string, error) {
	events, err := t.client.Resource(configMaps).Namespace("shop").Watch(context.WithoutCancel(ctx), metav1.ListOptions{}) // the fault: never stopped
	if err != nil {
		return "", err
	}
	event := <-events.ResultChan()
	return string(event.Type), nil
}

// fixed stops the watch.
func (t tenants) fixed(ctx context.Context) (string, error) {
	events, err := t.client.Resource(configMaps).Namespace("shop").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	defer events.Stop() // the repair
	event := <-events.ResultChan()
	return string(event.Type), nil
}

// serve is as much of the Kubernetes API as a watch needs: an event at once, and one a minute.
func serve(listener net.Listener) error {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		event := map[string]any{"type": "MODIFIED", "object": map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "a", "namespace": "shop", "uid": "1", "resourceVersion": "7"},
		}}
		for {
			if json.NewEncoder(w).Encode(event) != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Minute):
			}
		}
	}
	server := &http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

func main() {
	sidecar.Serve(serve)
	service.Main(service.Program{
		Name:  "watchleak",
		About: "leaves a watch of the Kubernetes API open with every request",
		New: func(service.Config, *service.Metrics) (service.Forms, error) {
			address, err := sidecar.Start()
			if err != nil {
				return service.Forms{}, err
			}
			client, err := dynamic.NewForConfig(&rest.Config{Host: "http://" + address, QPS: 1000, Burst: 1000})
			if err != nil {
				return service.Forms{}, err
			}
			t := tenants{client}
			return service.Forms{Leaking: t.leaking, Fixed: t.fixed}, nil
		},
	})
}
