package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// shown is the text of /metrics.
func shown(registry *prometheus.Registry) string {
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	return recorder.Body.String()
}

func TestARequestIsCountedByItsFirstPathSegmentAndStatus(t *testing.T) {
	registry := prometheus.NewRegistry()
	e := newExporter("shop", registry)
	for _, line := range []string{
		`<190>Nov 30 10:00:00 nginx: {"uri": "/cart/work", "status": "502", "upstream_time": "-"}`,
		`<190>Nov 30 10:00:01 nginx: {"uri": "/cart/work", "status": "200", "upstream_time": "0.020"}`,
	} {
		if !e.add([]byte(line)) {
			t.Fatalf("not counted: %s", line)
		}
	}
	text := shown(registry)
	for _, want := range []string{
		`nginx_ingress_controller_requests{ingress="cart",namespace="shop",status="200"} 1`,
		`nginx_ingress_controller_requests{ingress="cart",namespace="shop",status="502"} 1`,
		`nginx_ingress_controller_requests{ingress="cart",namespace="shop",status="504"} 0`,
		`nginx_ingress_controller_response_duration_seconds_bucket{ingress="cart",namespace="shop",status="200",le="0.025"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("missing: %s in\n%s", want, text)
		}
	}
	// A request that reached no upstream took no time there.
	if strings.Contains(text, `duration_seconds_count{ingress="cart",namespace="shop",status="502"`) {
		t.Errorf("a request without an upstream has a time:\n%s", text)
	}
}

func TestPathsOfStrangersDoNotBecomeSeriesWithoutEnd(t *testing.T) {
	e := newExporter("shop", prometheus.NewRegistry())
	counted := 0
	for n := range 3 * mostIngresses {
		if e.add([]byte(fmt.Sprintf(`{"uri": "/x%d/", "status": "200", "upstream_time": "0.1"}`, n))) {
			counted++
		}
	}
	if counted != mostIngresses {
		t.Errorf("%d ingresses, want %d", counted, mostIngresses)
	}
	for _, line := range []string{"", "no json", `{"uri": "/a b/", "status": "200"}`, `{"uri": "/cart/", "status": "abc"}`} {
		if e.add([]byte(line)) {
			t.Errorf("counted: %q", line)
		}
	}
}
