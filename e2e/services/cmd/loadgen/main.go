// Command loadgen sends requests at a given rate and reports what came back. It is an open loop: a slow or failing
// target gets the next request when it is due all the same, as users would send it. It is bounded by time and by
// number, calls only the URLs given (no redirects, no proxies), and goes on when they fail.
//
// A plain text line tells the state each -every; the last line of standard output is the report, one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type options struct {
	targets  []string
	rate     float64 // requests per second
	duration time.Duration
	requests int
	pattern  string
	timeout  time.Duration // for one request
	every    time.Duration // between two progress lines, 0 for none
	timeline bool
}

// maxRate keeps a mistyped rate from becoming an attack.
const maxRate = 5000

func parse(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Func("url", "target `URL`; may be given several times, then they take turns", func(value string) error {
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return errors.New("must be an http or https URL with a host")
		}
		o.targets = append(o.targets, value)
		return nil
	})
	fs.Float64Var(&o.rate, "rate", 5, "requests per second")
	fs.DurationVar(&o.duration, "duration", time.Minute, "how long to send")
	fs.IntVar(&o.requests, "requests", 100_000, "how many to send at most")
	fs.StringVar(&o.pattern, "pattern", "constant", "constant; step: twice the rate in the second half; "+
		"ramp: from a tenth of the rate up to it in the first half; burst: five times the rate in 2 s of every 10 s")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Second, "longest wait for one answer")
	fs.DurationVar(&o.every, "every", time.Second, "time between progress lines, 0 for none")
	fs.BoolVar(&o.timeline, "timeline", false, "add the counts of each second to the report")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(out, "loadgen: sends requests at a fixed rate and reports status codes and latencies")
			fs.SetOutput(out)
			fs.PrintDefaults()
		}
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case len(o.targets) == 0:
		return o, errors.New("-url is required")
	case !(o.rate > 0 && o.rate <= maxRate):
		return o, fmt.Errorf("-rate is %g, must be above 0 and at most %d", o.rate, maxRate)
	case o.duration <= 0 || o.requests <= 0 || o.timeout <= 0 || o.every < 0:
		return o, errors.New("-duration, -requests and -timeout must be above 0, -every 0 or more")
	case factors[o.pattern] == nil:
		return o, fmt.Errorf("-pattern is %q, must be constant, step, ramp or burst", o.pattern)
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "loadgen: %v\n", err)
		os.Exit(2)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	report := send(stop, o, os.Stderr)
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		fmt.Fprintf(os.Stderr, "loadgen: cannot write the report: %v\n", err)
		os.Exit(1)
	}
}

// send returns when all requests that were due are answered or given up, or when stop is done and those in flight
// are.
func send(stop context.Context, o options, progress io.Writer) Report {
	client := &http.Client{
		Timeout:       o.timeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	started := time.Now()
	tally := newTally(started)
	ended := make(chan struct{})
	var background sync.WaitGroup
	if o.every > 0 {
		background.Go(func() { tell(tally, o.every, progress, ended) })
	}

	var inFlight sync.WaitGroup
	due := time.Duration(0)
	for n := 0; n < o.requests && due < o.duration; n++ {
		if !sleepUntil(stop, started.Add(due)) {
			break
		}
		target := o.targets[n%len(o.targets)]
		inFlight.Go(func() { tally.add(once(client, target)) })
		due += interval(o, due)
	}
	inFlight.Wait()
	close(ended)
	background.Wait()
	return tally.report(o)
}

func sleepUntil(stop context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop.Done():
		return false
	}
}

func once(client *http.Client, target string) outcome {
	started := time.Now()
	resp, err := client.Get(target)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	result := outcome{at: started, latency: time.Since(started)}
	if err != nil {
		result.failure = kindOf(err)
	} else {
		result.code = resp.StatusCode
	}
	return result
}

func tell(t *tally, every time.Duration, out io.Writer, ended <-chan struct{}) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fmt.Fprintln(out, t.line())
		case <-ended:
			return
		}
	}
}
