package main

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

const podPage = `{"metadata":{},"items":[
 {"metadata":{"name":"web-1","namespace":"shop","uid":"u1","labels":{"app":"web"},"annotations":{"prometheus.io/port":"8080"}},
  "spec":{"nodeName":"n1","containers":[{"name":"app","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"},{"name":"pprof","containerPort":6060,"protocol":"TCP"}]}]},
  "status":{"podIP":"10.0.0.7","phase":"Running","conditions":[{"type":"Ready","status":"True"}]}},
 {"metadata":{"name":"web-2","namespace":"shop"},"spec":{"containers":[{"name":"app"}]},"status":{"phase":"Pending"}}]}`

func apiServer(t *testing.T, handler http.HandlerFunc) *api {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	secret := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string][]byte{"ca.crt": ca, "token": []byte("secret\n")} {
		if err := os.WriteFile(filepath.Join(secret, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := newAPI(server.URL, secret)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ask(h http.Handler) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/pods", nil))
	return recorder
}

func TestEveryDeclaredPortOfAPodWithAnAddressIsATarget(t *testing.T) {
	t.Parallel()
	a := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(podPage))
	})
	var groups []group
	if err := json.Unmarshal(ask(serve(a, "/api/v1/pods", podTargets)).Body.Bytes(), &groups); err != nil {
		t.Fatal(err)
	}
	if len(groups) != 2 || groups[0].Targets[0] != "10.0.0.7:8080" || groups[1].Targets[0] != "10.0.0.7:6060" {
		t.Fatalf("targets: %+v", groups)
	}
	for name, want := range map[string]string{
		"namespace": "shop", "pod_name": "web-1", "pod_container_name": "app", "pod_container_port_number": "8080", "pod_phase": "Running",
		"pod_ready": "true", "pod_label_app": "web", "pod_annotation_prometheus_io_port": "8080",
	} {
		if got := groups[0].Labels[meta+name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestAllPagesAreRead(t *testing.T) {
	t.Parallel()
	a := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("continue") == "" {
			_, _ = w.Write([]byte(`{"metadata":{"continue":"next"},"items":[{"metadata":{"name":"a"}}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"metadata":{},"items":[{"metadata":{"name":"b"}}]}`))
	})
	nodes, err := list[node](a, "/api/v1/nodes")
	if err != nil || len(nodes) != 2 || nodes[1].Metadata.Name != "b" {
		t.Errorf("%+v, %v", nodes, err)
	}
}

func TestAFailingAPIServerIsAnErrorAndNotAnEmptyCluster(t *testing.T) {
	t.Parallel()
	a := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if got := ask(serve(a, "/api/v1/pods", podTargets)); got.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503, on which Prometheus keeps its targets", got.Code)
	}
}
