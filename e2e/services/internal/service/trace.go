package service

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
)

var (
	traceparentPattern = regexp.MustCompile(`^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$`)
	// Whoever calls chooses the id; only what is harmless in a log line and a header is taken over.
	requestIDPattern = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)
)

type traceKey struct{}

type trace struct{ id string }

// traceOf takes the trace id from traceparent, else from X-Request-Id, else makes a new one.
func traceOf(h http.Header) trace {
	if m := traceparentPattern.FindStringSubmatch(h.Get("traceparent")); m != nil {
		return trace{m[1]}
	}
	if id := h.Get("X-Request-Id"); requestIDPattern.MatchString(id) {
		return trace{id}
	}
	return trace{randomHex(16)}
}

func withTrace(ctx context.Context, t trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// propagate hands the trace on. Only a W3C trace id fits a traceparent; any other id travels as X-Request-Id.
func propagate(ctx context.Context, h http.Header) {
	t, ok := ctx.Value(traceKey{}).(trace)
	if !ok {
		return
	}
	traceparent := "00-" + t.id + "-" + randomHex(8) + "-01"
	if traceparentPattern.MatchString(traceparent) {
		h.Set("traceparent", traceparent)
		return
	}
	h.Set("X-Request-Id", t.id)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
