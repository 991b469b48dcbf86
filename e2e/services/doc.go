// Package services holds Go services that really leak, for the end-to-end tests. Every command under cmd is one
// program with one fault, in a function called leaking, and the repaired form in the function fixed beside it.
// -fixed (or FIXED=true) runs the repaired form only; -leak-every N leaks in one request of N; -nofile N lowers
// the process's own descriptor limit.
//
// cmd/reference is none of these: it has no fault, and does well what the others do badly (graceful stop, both probes, a
// token bucket that answers 429, a circuit breaker with a fallback, JSON logs with the caller's trace).
//
// cmd/grpcstock has no fault either: it is a gRPC service of known capacity, which load tests are held against.
//
// # How long each takes
//
// Measured on two busy cores, through nginx with upstream timeouts of 1 s, at 5 requests/s and -nofile 200, on
// loopback and again on a node, with the same results: the time until the first 502.
//
//	program         what runs out                       -leak-every 1   -leak-every 2   -leak-every 5 (default of rowsleak)
//	bodyleak        descriptors, 199 of 200             37 s            75 s
//	transportleak   descriptors, 199 of 200             37 s            75 s (1)
//	fileleak        descriptors, 199 of 200             37 s            75 s
//	rowsleak        connections, 100 of 100                                             100 s (2)
//	goroutineleak   memory, 128 MiB                     75 s            122 s (3)
//	grpcleak        goroutines and descriptors, five and one a request
//	watchleak       goroutines and descriptors, five and one a request
//	mapleak         memory, 128 KiB a request
//	lockleak        goroutines, one a request once the lock is forgotten
//	boundedcache    nothing: 80 entries, then flat      never
//	healthy         nothing                             never
//	hostile         nothing; its profiles are hostile   never
//	all, -fixed     nothing                             never
//
//	(1) Requests that do not leak go on working over the shared connection, so half of the answers stay 200.
//	(2) Requests wait 0.8 s for a connection and then get the service's 502. No descriptor is involved.
//	(3) The kernel kills the process; nginx is refused and answers 502 itself until the container runs again.
//
// At 10 requests/s halve the times. After exhaustion 502s and not 504s are what users see: a request that fails gives
// its own inbound connection back, so the next one is still accepted, finds no descriptor for what it needs, and says
// so. For the same reason /healthz goes on answering: no probe notices.
//
// # Facts for whoever reads the metrics
//
//   - Every connection that bodyleak and transportleak keep open is open at the backend too: its descriptors and goroutines
//     rise with the leaks of its callers, by one each, and fall when those pods go. It has no fault of its own.
//   - transportleak needs an upstream that leaves idle connections alone for longer than the leak takes; here 10 minutes.
//   - process_open_fds stays readable on an exhausted process, to a new connection too, on kernels that count descriptors
//     in stat(/proc/self/fd) (Linux 6.2 and later). Before, reading it takes a descriptor, and it is missing when there is none.
package services
