package services_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The programs run as processes of their own, so that what /proc and /metrics say is about them and nothing else.
var builds struct {
	dir  string
	once sync.Once
	err  error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "services-test-")
	if err != nil {
		panic(err)
	}
	builds.dir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// binary builds all programs once and returns the path of one.
func binary(t *testing.T, program string) string {
	t.Helper()
	builds.once.Do(func() {
		// Looking at the sources makes them inputs of the test: go test would else show a cached result after a change
		// in a program, because it does not see what the build reads.
		builds.err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			_, err = os.Stat(path)
			return err
		})
		if out, err := exec.Command("go", "build", "-o", builds.dir, "./cmd/...").CombinedOutput(); err != nil {
			builds.err = fmt.Errorf("cannot build the programs: %w\n%s", err, out)
		}
	})
	if builds.err != nil {
		t.Fatal(builds.err)
	}
	return filepath.Join(builds.dir, program)
}

type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	base string
	done chan error

	mu  sync.Mutex
	log []string
}

// start runs a program on a free port and waits until it is ready.
func start(t *testing.T, program string, args ...string) *process {
	t.Helper()
	addr := freeAddress(t)
	args = append([]string{"-addr", addr, "-pprof-addr", "127.0.0.1:0", "-drain", "100ms"}, args...)
	cmd := exec.Command(binary(t, program), args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, base: "http://" + addr, done: make(chan error, 1)}
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			p.mu.Unlock()
		}
		p.done <- cmd.Wait()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, program+" is ready", func() bool { status, _ := p.get("/readyz"); return status == 200 })
	return p
}

func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not seen within 30 s: %s", what)
}

// get asks on a connection of its own, as nginx does; status 0 means that nobody answered.
func (p *process) get(path string) (int, string) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(p.base + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func (p *process) work(n int) map[int]int {
	codes := map[int]int{}
	for range n {
		code, _ := p.get("/work")
		codes[code]++
	}
	return codes
}

func (p *process) metric(name string) float64 {
	p.t.Helper()
	_, body := p.get("/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(body)
	if m == nil {
		p.t.Fatalf("no %s in /metrics", name)
	}
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

func (p *process) logged(substring string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(strings.Join(p.log, "\n"), substring)
}

const (
	descriptors = "process_open_fds"
	goroutines  = "go_goroutines"
	connections = `go_sql_in_use_connections{db_name="orders"}`
)

// slack covers what comes and goes by itself: connections being closed, upstream connections kept for reuse.
const slack = 8

func TestEachFaultKeepsWhatItSaysAndItsRepairedFormDoesNot(t *testing.T) {
	t.Parallel()
	backend := start(t, "healthy")
	for _, c := range []struct {
		program, metric string
		perRequest      float64
		flags           []string
	}{
		{"bodyleak", descriptors, 1, nil},
		{"transportleak", descriptors, 1, nil},
		{"fileleak", descriptors, 1, nil},
		{"goroutineleak", goroutines, 1, nil},
		{"grpcleak", descriptors, 1, nil},
		{"watchleak", descriptors, 1, nil},
		{"rowsleak", connections, 1, []string{"-leak-every", "1"}},
	} {
		for _, fixed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s fixed=%t", c.program, fixed), func(t *testing.T) {
				t.Parallel()
				const requests = 40
				p := start(t, c.program, append([]string{"-upstream", backend.base, fmt.Sprintf("-fixed=%t", fixed)}, c.flags...)...)
				before := p.metric(c.metric)
				if codes := p.work(requests); codes[200] != requests {
					t.Fatalf("answers: %v", codes)
				}
				want := c.perRequest * requests
				if fixed {
					want = 0
				}
				within := func() bool {
					growth := p.metric(c.metric) - before
					return growth >= want-slack && growth <= want+slack
				}
				eventually(t, fmt.Sprintf("%s grown by about %g", c.metric, want), within)
			})
		}
	}
}

func TestASlowLeakLeaksInOneRequestOfSoMany(t *testing.T) {
	t.Parallel()
	p := start(t, "rowsleak", "-leak-every", "4")
	p.work(40)
	if got := p.metric(connections); got != 10 {
		t.Errorf("%g connections kept after 40 requests, want 10", got)
	}
}

func TestTheBoundedCacheRisesToItsBoundAndStays(t *testing.T) {
	t.Parallel()
	p := start(t, "boundedcache", "-bound", "30", "-entry-bytes", "1024")
	before := p.metric(descriptors)
	p.work(30)
	full := p.metric(descriptors)
	if grown := full - before; grown < 30-slack {
		t.Errorf("descriptors grew by %g while the cache filled, want about 30", grown)
	}
	p.work(60)
	eventually(t, "descriptors stay at the bound", func() bool { return p.metric(descriptors) <= full+slack })
	eventually(t, "goroutines stay at the bound", func() bool { return p.metric(goroutines) <= 30+3*slack })
}

func TestOutOfDescriptorsUsersGet502WhileTheRepairedFormServesOn(t *testing.T) {
	t.Parallel()
	backend := start(t, "healthy")
	for _, program := range []string{"bodyleak", "transportleak", "fileleak"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			leaking := start(t, program, "-upstream", backend.base, "-nofile", "64")
			if got := leaking.metric("process_max_fds"); got != 64 {
				t.Errorf("process_max_fds is %g, want the lowered 64", got)
			}
			codes := leaking.work(100)
			if codes[200] == 0 || codes[502] == 0 {
				t.Errorf("answers: %v, want 200s and then 502s", codes)
			}
			if _, body := leaking.get("/work"); !strings.Contains(body, "too many open files") {
				t.Errorf("the 502 does not say why: %s", body)
			}
			if status, _ := leaking.get("/healthz"); status != 200 {
				t.Errorf("/healthz answers %d: the process is alive, and only useless", status)
			}
			fixed := start(t, program, "-upstream", backend.base, "-nofile", "64", "-fixed")
			if codes := fixed.work(100); codes[200] != 100 {
				t.Errorf("answers of the repaired form: %v", codes)
			}
		})
	}
}

func TestAnEmptyPoolAnswers502(t *testing.T) {
	t.Parallel()
	p := start(t, "rowsleak", "-leak-every", "1", "-max-open", "5", "-upstream-timeout", "50ms")
	if codes := p.work(8); codes[200] != 5 || codes[502] != 3 {
		t.Errorf("answers: %v, want five 200s and three 502s", codes)
	}
	if used, limit := p.metric(connections), p.metric(`go_sql_max_open_connections{db_name="orders"}`); used != 5 || limit != 5 {
		t.Errorf("%g of %g connections in use, want 5 of 5", used, limit)
	}
}

func TestSIGTERMTurnsReadinessOffAndLetsRequestsInFlightEnd(t *testing.T) {
	t.Parallel()
	p := start(t, "healthy", "-latency", "2s", "-drain", "1s")
	inFlight := make(chan int, 1)
	go func() { status, _ := p.get("/work"); inFlight <- status }()
	eventually(t, "the request is in flight", func() bool { return p.metric("http_requests_in_flight") == 1 })

	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness is off while the listener is open", func() bool { status, _ := p.get("/readyz"); return status == 503 })
	if status := <-inFlight; status != 200 {
		t.Errorf("the request in flight got %d", status)
	}
	if err := <-p.done; err != nil {
		t.Errorf("exit: %v", err)
	}
	if !p.logged(`"orderly":true`) {
		t.Errorf("the log does not tell of an orderly stop")
	}
}

func TestRequestsAreLoggedAsJSONWithTheCallersTrace(t *testing.T) {
	t.Parallel()
	backend := start(t, "healthy")
	p := start(t, "healthy", "-upstream", backend.base)
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	req, _ := http.NewRequest(http.MethodGet, p.base+"/work", nil)
	req.Header.Set("traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for _, service := range []*process{p, backend} {
		eventually(t, "a request line with the trace id", func() bool { return service.logged(`"trace_id":"` + traceID + `"`) })
		service.mu.Lock()
		last := service.log[len(service.log)-1]
		service.mu.Unlock()
		var line struct {
			Msg        string  `json:"msg"`
			Status     int     `json:"status"`
			DurationMS float64 `json:"duration_ms"`
		}
		if err := json.Unmarshal([]byte(last), &line); err != nil || line.Msg != "request" || line.Status != 200 || line.DurationMS <= 0 {
			t.Errorf("request line: %s (%v)", last, err)
		}
	}
}

func TestWrongFlagsEndInOneLineAndCode2(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ program, env, line string }{
		{"bodyleak", "UPSTREAM=", "bodyleak: -upstream is required, for example -upstream http://backend:8080"},
		{"bodyleak", "UPSTREAM=backend:8080", `bodyleak: -upstream is "backend:8080", must be an http or https URL with a host`},
		{"healthy", "LEAK_EVERY=0", "healthy: -leak-every is 0, must be 1 or more"},
		{"healthy", "NOFILE=3", "healthy: -nofile is 3, below the 32 a Go service needs to start"},
		{"loadgen", "", "loadgen: -url is required"},
	} {
		cmd := exec.Command(binary(t, c.program))
		cmd.Env = append(os.Environ(), c.env)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || strings.TrimSpace(string(out)) != c.line {
			t.Errorf("%s with %q: %v, %s", c.program, c.env, err, out)
		}
	}
}

func TestTheLoadGeneratorGoesOnWhenItsTargetFailsAndReportsWhenStopped(t *testing.T) {
	t.Parallel()
	target := start(t, "healthy")
	cmd := exec.Command(binary(t, "loadgen"), "-url", target.base+"/work", "-rate", "50", "-duration", "10m", "-timeline")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	answered := func() bool { return target.metric(`http_requests_total{code="200"}`) >= 20 }
	eventually(t, "the target answers", answered)
	_ = target.cmd.Process.Kill()
	<-target.done
	time.Sleep(500 * time.Millisecond) // time for requests that are refused
	_ = cmd.Process.Signal(syscall.SIGTERM)

	var report struct {
		Report          string         `json:"report"`
		Requests        int            `json:"requests"`
		Codes           map[string]int `json:"codes"`
		TransportErrors map[string]int `json:"transport_errors"`
		ErrorRate       float64        `json:"error_rate"`
		Timeline        []any          `json:"timeline"`
	}
	if err := json.NewDecoder(stdout).Decode(&report); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	if report.Report != "loadgen" || report.Codes["200"] < 20 || report.TransportErrors["refused"] == 0 || len(report.Timeline) == 0 {
		t.Errorf("report: %+v", report)
	}
	if report.ErrorRate <= 0 || report.ErrorRate >= 1 {
		t.Errorf("error rate %g", report.ErrorRate)
	}
}
