package service

import (
	"context"
	"net/http"
	"testing"
)

func TestTheTraceIsTheCallersWhereItGivesOne(t *testing.T) {
	t.Parallel()
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	both := http.Header{}
	both.Set("traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	both.Set("X-Request-Id", "other")
	if got := traceOf(both); got.id != id {
		t.Errorf("trace id %q, want that of traceparent", got.id)
	}
	only := http.Header{}
	only.Set("X-Request-Id", "req-1")
	if got := traceOf(only); got.id != "req-1" {
		t.Errorf("trace id %q, want the request id", got.id)
	}
	hostile := http.Header{}
	hostile.Set("X-Request-Id", "a b\"}")
	if got := traceOf(hostile); len(got.id) != 32 {
		t.Errorf("trace id %q, want a new one", got.id)
	}
}

func TestTheTraceGoesOnInTheHeaderItFits(t *testing.T) {
	t.Parallel()
	for id, header := range map[string]string{"4bf92f3577b34da6a3ce929d0e0e4736": "traceparent", "req-1": "X-Request-Id"} {
		h := http.Header{}
		propagate(withTrace(context.Background(), trace{id}), h)
		if len(h) != 1 || traceOf(h).id != id || h.Get(header) == "" {
			t.Errorf("%s travels as %v, want it in %s", id, h, header)
		}
	}
}
