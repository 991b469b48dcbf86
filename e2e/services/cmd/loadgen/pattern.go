package main

import "time"

// factors say by how much the rate is multiplied at a time of the run.
var factors = map[string]func(at, duration time.Duration) float64{
	"constant": func(_, _ time.Duration) float64 { return 1 },
	"step": func(at, duration time.Duration) float64 {
		if at < duration/2 {
			return 1
		}
		return 2
	},
	"ramp": func(at, duration time.Duration) float64 {
		return min(1, 0.1+0.9*float64(at)/float64(duration/2))
	},
	"burst": func(at, _ time.Duration) float64 {
		if at%(10*time.Second) < 8*time.Second {
			return 1
		}
		return 5
	},
}

// interval is the time from the request due at a time to the next.
func interval(o options, at time.Duration) time.Duration {
	return time.Duration(float64(time.Second) / (o.rate * factors[o.pattern](at, o.duration)))
}
