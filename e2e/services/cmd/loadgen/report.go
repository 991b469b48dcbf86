package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type outcome struct {
	at      time.Time
	latency time.Duration
	code    int    // 0 when there was no answer
	failure string // why there was none
}

// Report is what came back. An error is a request without an answer or with a status of 500 and above.
type Report struct {
	Kind            string         `json:"report"` // always "loadgen", to be found in a log
	Targets         []string       `json:"targets"`
	DurationSeconds float64        `json:"duration_seconds"`
	Requests        int            `json:"requests"`
	Codes           map[string]int `json:"codes"`
	TransportErrors map[string]int `json:"transport_errors"`
	ErrorRate       float64        `json:"error_rate"`
	LatencyMS       LatencyMS      `json:"latency_ms"`
	Timeline        []Second       `json:"timeline,omitempty"`
}

// LatencyMS covers all requests, those given up included: a timeout is what its user waited.
type LatencyMS struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Second counts the requests sent in one second of the run, by status code or kind of failure.
type Second struct {
	Second int            `json:"second"`
	Counts map[string]int `json:"counts"`
}

type tally struct {
	mu        sync.Mutex
	started   time.Time
	codes     map[string]int
	failures  map[string]int
	errors    int
	latencies []float64 // milliseconds
	seconds   map[int]map[string]int
	recent    map[string]int // since the last progress line
}

func newTally(started time.Time) *tally {
	return &tally{started: started, codes: map[string]int{}, failures: map[string]int{},
		seconds: map[int]map[string]int{}, recent: map[string]int{}}
}

func (t *tally) add(o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := o.failure
	if o.code != 0 {
		key = strconv.Itoa(o.code)
		t.codes[key]++
	} else {
		t.failures[key]++
	}
	if o.code == 0 || o.code >= 500 {
		t.errors++
	}
	t.latencies = append(t.latencies, float64(o.latency.Microseconds())/1000)
	second := int(o.at.Sub(t.started).Seconds())
	if t.seconds[second] == nil {
		t.seconds[second] = map[string]int{}
	}
	t.seconds[second][key]++
	t.recent[key]++
}

// line is the state since the last line, for people: "  12s  5 requests: 200=4 502=1, 60 in all".
func (t *tally) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	count := 0
	for _, key := range slices.Sorted(maps.Keys(t.recent)) {
		parts = append(parts, fmt.Sprintf("%s=%d", key, t.recent[key]))
		count += t.recent[key]
	}
	clear(t.recent)
	return fmt.Sprintf("%4.0fs  %d requests: %s, %d in all", time.Since(t.started).Seconds(), count,
		strings.Join(parts, " "), len(t.latencies))
}

func (t *tally) report(o options) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.latencies)
	r := Report{
		Kind: "loadgen", Targets: o.targets, Requests: len(t.latencies), Codes: t.codes, TransportErrors: t.failures,
		DurationSeconds: math.Round(time.Since(t.started).Seconds()*10) / 10,
		LatencyMS: LatencyMS{P50: percentile(t.latencies, 50), P90: percentile(t.latencies, 90),
			P99: percentile(t.latencies, 99), Max: percentile(t.latencies, 100)},
	}
	if r.Requests > 0 {
		r.ErrorRate = float64(t.errors) / float64(r.Requests)
	}
	if o.timeline {
		for _, second := range slices.Sorted(maps.Keys(t.seconds)) {
			r.Timeline = append(r.Timeline, Second{second, t.seconds[second]})
		}
	}
	return r
}

// percentile is the nearest rank in sorted values: a latency that was really seen.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// kindOf sorts failures into the few kinds that tell where a request was lost.
func kindOf(err error) string {
	var timeout net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "dns"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	}
	return "other"
}
