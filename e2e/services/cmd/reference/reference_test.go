package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// upstream answers with the status it is set to and counts its calls.
type upstream struct {
	*httptest.Server
	status atomic.Int64
	calls  atomic.Int64
	traces chan string
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{traces: make(chan string, 1)}
	u.status.Store(200)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.calls.Add(1)
		select {
		case u.traces <- r.Header.Get("Traceparent"):
		default:
		}
		w.WriteHeader(int(u.status.Load()))
		_, _ = io.WriteString(w, `["jam"]`)
	}))
	t.Cleanup(u.Close)
	return u
}

func configFor(u *upstream) Config {
	cfg := defaults()
	cfg.Upstream = u.URL
	cfg.RequestsPerSec, cfg.Burst = 1e6, 1e6
	return cfg
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func quiet() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) }

func ask(t *testing.T, handler http.Handler, path string) (int, answer) {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	var body answer
	_ = json.Unmarshal(recorder.Body.Bytes(), &body)
	return recorder.Code, body
}

func TestTheBreakerTurns502sIntoAnswersWithLess(t *testing.T) {
	t.Parallel()
	for _, enabled := range []bool{false, true} {
		u := newUpstream(t)
		u.status.Store(500)
		cfg := configFor(u)
		cfg.Breaker.Enabled = enabled
		handler := New(cfg, quiet()).Handler()
		codes, degraded := map[int]int{}, 0
		for range 200 {
			code, body := ask(t, handler, "/products")
			codes[code]++
			if body.Degraded && len(body.Products) > 0 {
				degraded++
			}
		}
		switch {
		case !enabled && (codes[502] != 200 || u.calls.Load() != 200):
			t.Errorf("without a breaker: %v after %d calls, want 200 times 502", codes, u.calls.Load())
		case enabled && (codes[200] != 200 || degraded != 200):
			t.Errorf("with a breaker: %v, %d degraded, want 200 times 200 with degraded data", codes, degraded)
		case enabled && u.calls.Load() != 20:
			t.Errorf("a failing upstream was called %d times, want 20 and then no more", u.calls.Load())
		}
	}
}

func TestTheBreakerOpensAt20CallsOfWhichHalfFailed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		good, bad int
		open      bool
	}{{0, 19, false}, {0, 20, true}, {10, 10, true}, {11, 9, false}, {11, 10, false}} {
		u := newUpstream(t)
		handler := New(configFor(u), quiet()).Handler()
		for range c.good {
			ask(t, handler, "/products")
		}
		u.status.Store(503)
		for range c.bad {
			ask(t, handler, "/products")
		}
		before := u.calls.Load()
		ask(t, handler, "/products")
		if open := u.calls.Load() == before; open != c.open {
			t.Errorf("after %d good and %d bad calls: open is %t, want %t", c.good, c.bad, open, c.open)
		}
	}
	if got := DefaultBreaker().SleepWindow; got != 5*time.Second {
		t.Errorf("the sleep window is %s", got)
	}
}

func TestTheBreakerClosesAgainWhenTheUpstreamIsBack(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	cfg := configFor(u)
	cfg.Breaker.SleepWindow = 50 * time.Millisecond
	handler := New(cfg, quiet()).Handler()
	u.status.Store(500)
	for range 20 {
		ask(t, handler, "/products")
	}
	u.status.Store(200)
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, body := ask(t, handler, "/products"); !body.Degraded {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("answers stay degraded although the upstream is back")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestTooManyRequestsGet429AndProbesDoNot(t *testing.T) {
	t.Parallel()
	cfg := configFor(newUpstream(t))
	cfg.RequestsPerSec, cfg.Burst = 0.001, 5
	handler := New(cfg, quiet()).Handler()
	codes := map[int]int{}
	for range 12 {
		code, _ := ask(t, handler, "/products")
		codes[code]++
	}
	if codes[200] != 5 || codes[429] != 7 {
		t.Errorf("%v, want 5 of 200 and 7 of 429", codes)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/products", nil))
	if recorder.Header().Get("Retry-After") == "" {
		t.Error("a 429 does not say when to come back")
	}
	for _, probe := range []string{"/healthz", "/readyz", "/metrics"} {
		if code, _ := ask(t, handler, probe); code != 200 {
			t.Errorf("%s answers %d under overload", probe, code)
		}
	}
}

func TestTheBucketFillsAgain(t *testing.T) {
	t.Parallel()
	cfg := configFor(newUpstream(t))
	cfg.RequestsPerSec, cfg.Burst = 20, 1
	handler := New(cfg, quiet()).Handler()
	ask(t, handler, "/products")
	deadline := time.Now().Add(20 * time.Second)
	for {
		if code, _ := ask(t, handler, "/products"); code == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the bucket never filled again")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAGracefulStopTurnsReadinessOffAndLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, `["jam"]`)
	}))
	defer slow.Close()
	cfg := defaults()
	cfg.Upstream, cfg.UpstreamTimeout, cfg.Drain = slow.URL, 30*time.Second, 300*time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	stop, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(cfg, quiet()).Serve(stop, listener) }()

	inFlight := make(chan int, 1)
	go func() { inFlight <- status(base + "/products") }()
	<-entered
	if got := status(base + "/readyz"); got != 200 {
		t.Fatalf("/readyz answers %d before the stop", got)
	}
	cancel()
	deadline := time.Now().Add(20 * time.Second)
	for status(base+"/readyz") != 503 {
		if time.Now().After(deadline) {
			t.Fatal("/readyz never turned 503 while the listener was open")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if got := status(base + "/healthz"); got != 200 {
		t.Errorf("/healthz answers %d while draining: a pod that drains is alive", got)
	}
	close(release)
	if got := <-inFlight; got != 200 {
		t.Errorf("the request in flight got %d", got)
	}
	if err := <-done; err != nil {
		t.Errorf("the stop was not orderly: %v", err)
	}
	if got := status(base + "/healthz"); got != 0 {
		t.Errorf("it answers %d after the stop", got)
	}
}

// status is 0 where nobody answers. Each call has a connection of its own, as those of a new client.
func status(url string) int {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestTheCallersTraceIsInTheLogAndGoesOnToTheUpstream(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	var log safeBuffer
	handler := New(configFor(u), slog.New(slog.NewJSONHandler(&log, nil))).Handler()
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	request := httptest.NewRequest(http.MethodGet, "/products", nil)
	request.Header.Set("traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
	handler.ServeHTTP(httptest.NewRecorder(), request)
	var line struct {
		TraceID    string  `json:"trace_id"`
		DurationMS float64 `json:"duration_ms"`
		Status     int     `json:"status"`
	}
	if err := json.Unmarshal([]byte(log.String()), &line); err != nil || line.TraceID != traceID || line.DurationMS <= 0 || line.Status != 200 {
		t.Errorf("log line %q (%v)", log.String(), err)
	}
	if got := <-u.traces; !strings.Contains(got, traceID) {
		t.Errorf("the upstream got traceparent %q", got)
	}
}

func TestConnectionsToTheUpstreamAreUsedAgain(t *testing.T) {
	t.Parallel()
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[]`) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	cfg := defaults()
	cfg.Upstream, cfg.RequestsPerSec, cfg.Burst = server.URL, 1e6, 1e6
	handler := New(cfg, quiet()).Handler()
	for range 50 {
		ask(t, handler, "/products")
	}
	if got := opened.Load(); got > 2 {
		t.Errorf("50 calls opened %d connections", got)
	}
}
