package service

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config is what every program understands. Each field is a flag and, for pods, the environment variable of the
// same name in capitals (-leak-every is LEAK_EVERY). A flag given on the command line wins.
type Config struct {
	Addr            string        // where users, probes and Prometheus connect
	PprofAddr       string        // profiles stay off the port that users reach
	Upstream        string        // base URL of the service this one calls; empty where there is none
	UpstreamTimeout time.Duration // below nginx's 1 s, so that this service gets to say what failed
	Fixed           bool          // only the repaired form runs
	LeakEvery       int           // the faulty form runs for one request in so many
	Nofile          uint64        // lowered descriptor limit, 0 leaves it alone
	Drain           time.Duration // between readiness going false and the listener closing
	ShutdownTimeout time.Duration // for requests in flight, after the drain
	IdleTimeout     time.Duration // after which an idle inbound connection is closed
}

// Defaults are the flags of one program that differ from everybody's.
type Defaults struct {
	LeakEvery int // 0 means 1
}

// parseConfig reads flags, then the environment for those not given. The error is one line for the user, or
// flag.ErrHelp after the help was printed to out.
func parseConfig(p Program, args []string, getenv func(string) string, out io.Writer) (Config, error) {
	var cfg Config
	fs := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints the one line; help is printed below
	fs.StringVar(&cfg.Addr, "addr", ":8080", "listen `address` of the service")
	fs.StringVar(&cfg.PprofAddr, "pprof-addr", ":6060", "listen `address` of the profiles")
	fs.StringVar(&cfg.Upstream, "upstream", "", "base `URL` of the service to call")
	fs.DurationVar(&cfg.UpstreamTimeout, "upstream-timeout", 800*time.Millisecond, "longest wait for the upstream")
	fs.BoolVar(&cfg.Fixed, "fixed", false, "run the repaired form only")
	fs.IntVar(&cfg.LeakEvery, "leak-every", max(1, p.Defaults.LeakEvery), "leak in one request of so many")
	fs.Uint64Var(&cfg.Nofile, "nofile", 0, "lower the own descriptor limit, soft and hard (0: leave it)")
	fs.DurationVar(&cfg.Drain, "drain", 5*time.Second, "wait after readiness turns false")
	fs.DurationVar(&cfg.ShutdownTimeout, "shutdown-timeout", 10*time.Second, "wait for requests in flight")
	fs.DurationVar(&cfg.IdleTimeout, "idle-timeout", 10*time.Minute, "close idle inbound connections after")
	if p.Flags != nil {
		p.Flags(fs)
	}

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(out, "%s: %s\n\nFlags (each also read from the environment, -leak-every as LEAK_EVERY):\n", p.Name, p.About)
			fs.SetOutput(out)
			fs.PrintDefaults()
		}
		return cfg, err
	}
	if fs.NArg() > 0 {
		return cfg, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := fromEnvironment(fs, getenv); err != nil {
		return cfg, err
	}
	return cfg, cfg.validate(p)
}

func fromEnvironment(fs *flag.FlagSet, getenv func(string) string) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var failed error
	fs.VisitAll(func(f *flag.Flag) {
		name := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if value == "" || given[f.Name] || failed != nil {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			failed = fmt.Errorf("environment variable %s=%q: %w", name, value, err)
		}
	})
	return failed
}

func (c Config) validate(p Program) error {
	if c.LeakEvery < 1 {
		return fmt.Errorf("-leak-every is %d, must be 1 or more", c.LeakEvery)
	}
	if c.Nofile != 0 && c.Nofile < 32 {
		return fmt.Errorf("-nofile is %d, below the 32 a Go service needs to start", c.Nofile)
	}
	if c.Upstream == "" {
		if p.NeedsUpstream {
			return errors.New("-upstream is required, for example -upstream http://backend:8080")
		}
		return nil
	}
	if u, err := url.Parse(c.Upstream); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("-upstream is %q, must be an http or https URL with a host", c.Upstream)
	}
	return nil
}

// Main runs a program to its end and exits: 0 after an orderly stop, 1 when it could not run, 2 for bad flags.
func Main(p Program) {
	cfg, err := parseConfig(p, os.Args[1:], os.Getenv, os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(2)
	}
	if err := run(p, cfg); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}
