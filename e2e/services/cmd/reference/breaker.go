package main

import (
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakerConfig says when calls to the upstream stop. The defaults are those that Hystrix made common.
type BreakerConfig struct {
	Enabled         bool
	VolumeThreshold uint32        // fewer calls in the window prove nothing
	ErrorPercentage float64       // of the calls in the window, from which on it opens
	Window          time.Duration // after which counts of a closed breaker begin again
	SleepWindow     time.Duration // open for so long, then one call may try
}

// DefaultBreaker opens at 20 calls of which half failed, and tries again after 5 s.
func DefaultBreaker() BreakerConfig {
	return BreakerConfig{Enabled: true, VolumeThreshold: 20, ErrorPercentage: 50, Window: 10 * time.Second, SleepWindow: 5 * time.Second}
}

func newBreaker(cfg BreakerConfig, changed func(open bool)) *gobreaker.CircuitBreaker[[]string] {
	return gobreaker.NewCircuitBreaker[[]string](gobreaker.Settings{
		Name:        "recommendations",
		MaxRequests: 1, // while it is half open
		Interval:    cfg.Window,
		Timeout:     cfg.SleepWindow,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.Requests >= cfg.VolumeThreshold &&
				float64(counts.TotalFailures) >= cfg.ErrorPercentage/100*float64(counts.Requests)
		},
		OnStateChange: func(_ string, _, to gobreaker.State) { changed(to == gobreaker.StateOpen) },
	})
}
