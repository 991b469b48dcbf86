package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func optionsFor(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestASlowTargetDoesNotSlowTheLoad(t *testing.T) {
	t.Parallel()
	var open, most atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), open.Add(1)))
		time.Sleep(300 * time.Millisecond)
		open.Add(-1)
	}))
	defer target.Close()
	report := send(context.Background(), optionsFor(t, "-url", target.URL, "-rate", "100", "-requests", "60", "-every", "0"), io.Discard)
	if report.Codes["200"] != 60 {
		t.Errorf("codes: %v", report.Codes)
	}
	if most.Load() < 5 {
		t.Errorf("at most %d requests at the same time: the next ones waited for answers", most.Load())
	}
}

func TestTheLoadEndsWithItsDurationOrItsNumberWhicheverIsFirst(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(http.NotFoundHandler())
	defer target.Close()
	byNumber := send(context.Background(), optionsFor(t, "-url", target.URL, "-rate", "1000", "-requests", "7"), io.Discard)
	byTime := send(context.Background(), optionsFor(t, "-url", target.URL, "-rate", "100", "-duration", "200ms"), io.Discard)
	if byNumber.Requests != 7 || byTime.Requests != 20 {
		t.Errorf("%d and %d requests, want 7 and 20", byNumber.Requests, byTime.Requests)
	}
	if byTime.ErrorRate != 0 {
		t.Errorf("error rate %g: a 404 is an answer", byTime.ErrorRate)
	}
}

func TestRedirectsAreReportedAndNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called a target that was not given") }))
	defer elsewhere.Close()
	target := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer target.Close()
	report := send(context.Background(), optionsFor(t, "-url", target.URL, "-requests", "1"), io.Discard)
	if report.Codes["302"] != 1 {
		t.Errorf("codes: %v", report.Codes)
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangsUp.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for url, kind := range map[string]string{silent.URL: "timeout", hangsUp.URL: "closed", gone.URL: "refused"} {
		report := send(context.Background(), optionsFor(t, "-url", url, "-requests", "1", "-timeout", "200ms"), io.Discard)
		if report.TransportErrors[kind] != 1 || report.ErrorRate != 1 {
			t.Errorf("want one %s, got %+v", kind, report)
		}
	}
}

func TestPatternsChangeTheRateOverTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		at      time.Duration
		want    time.Duration
	}{
		{"constant", 15 * time.Second, 100 * time.Millisecond},
		{"step", 29 * time.Second, 100 * time.Millisecond},
		{"step", 30 * time.Second, 50 * time.Millisecond},
		{"ramp", 0, time.Second},
		{"ramp", 30 * time.Second, 100 * time.Millisecond},
		{"ramp", 59 * time.Second, 100 * time.Millisecond},
		{"burst", 17 * time.Second, 100 * time.Millisecond},
		{"burst", 18 * time.Second, 20 * time.Millisecond},
	} {
		o := options{rate: 10, duration: time.Minute, pattern: c.pattern}
		if got := interval(o, c.at); got != c.want {
			t.Errorf("%s at %s: next request after %s, want %s", c.pattern, c.at, got, c.want)
		}
	}
}

func TestPercentilesAreLatenciesThatWereSeen(t *testing.T) {
	t.Parallel()
	values := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 100}
	for p, want := range map[float64]float64{50: 5, 90: 9, 99: 100, 100: 100} {
		if got := percentile(values, p); got != want {
			t.Errorf("p%g is %g, want %g", p, got, want)
		}
	}
	if got := percentile(nil, 50); got != 0 {
		t.Errorf("p50 of nothing is %g", got)
	}
}
