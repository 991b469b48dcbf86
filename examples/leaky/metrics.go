package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"time"
)

var started = time.Now()

// metrics writes what client_golang's collectors would, in the text format and without the library.
func (s *shop) metrics(w http.ResponseWriter, _ *http.Request) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	served, failed := s.served.Load(), s.failed.Load()
	fmt.Fprintln(w, "# TYPE http_requests_total counter")
	fmt.Fprintf(w, "http_requests_total{code=\"200\"} %d\n", served-failed)
	fmt.Fprintf(w, "http_requests_total{code=\"502\"} %d\n", failed)
	gauge(w, "go_goroutines", float64(runtime.NumGoroutine()))
	gauge(w, "go_memstats_heap_inuse_bytes", float64(memory.HeapInuse))
	gauge(w, "process_start_time_seconds", float64(started.UnixMilli())/1000)
	fmt.Fprintf(w, "# TYPE go_gc_duration_seconds summary\ngo_gc_duration_seconds_count %d\n", memory.NumGC)
	if open, most, ok := descriptors(); ok {
		gauge(w, "process_open_fds", open)
		gauge(w, "process_max_fds", most)
	}
}

func gauge(w http.ResponseWriter, name string, value float64) {
	fmt.Fprintf(w, "# TYPE %s gauge\n%s %g\n", name, name, value)
}

// descriptors is how many are open and how many may be; false where the system does not say (macOS has no /proc).
func descriptors() (open, most float64, ok bool) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0, false
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, false
	}
	return float64(len(entries) - 1), float64(limit.Cur), true // one is the directory that was just read
}
