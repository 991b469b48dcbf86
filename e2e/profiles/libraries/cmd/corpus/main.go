// Command corpus runs one service that leaks in one way, its repaired form, or a healthy one that looks alike; with
// -upstream what the services depend on, and with -load what asks them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"leakwarden.dev/e2e/libraries/internal/chassis"
	"leakwarden.dev/e2e/libraries/internal/clients"
	"leakwarden.dev/e2e/libraries/internal/locks"
	"leakwarden.dev/e2e/libraries/internal/memory"
	"leakwarden.dev/e2e/libraries/internal/messages"
	"leakwarden.dev/e2e/libraries/internal/processes"
	"leakwarden.dev/e2e/libraries/internal/upstream"
)

var number atomic.Int64

// plain is work that needs nothing of the request.
func plain(work func() error) chassis.Handle {
	return func(context.Context, http.ResponseWriter, *http.Request) error { return work() }
}

func asked(work func(context.Context) error) chassis.Handle {
	return func(ctx context.Context, _ http.ResponseWriter, _ *http.Request) error { return work(ctx) }
}

func service(name string, up chassis.Addresses, repaired bool) (chassis.Handle, error) {
	ctx := context.Background()
	switch name {
	case "grpc_conn":
		return asked((&clients.Stock{Target: up.GRPC, Repaired: repaired}).Reserve), nil
	case "grpc_stream":
		stock := &clients.Stock{Target: up.GRPC, Repaired: repaired}
		stock.Share()
		return asked(stock.Follow), nil
	case "redis_pubsub", "redis_client":
		notices := &clients.Notices{Client: redis.NewClient(&redis.Options{Addr: up.Redis}), Address: up.Redis, Repaired: repaired}
		if name == "redis_client" {
			return asked(notices.Count), nil
		}
		return asked(notices.Await), nil
	case "pgx_pool":
		return asked((&clients.Orders{Address: up.Postgres, Repaired: repaired}).Report), nil
	case "pgx_conn":
		orders := &clients.Orders{Address: up.Postgres, Repaired: repaired}
		if err := orders.Open(ctx); err != nil {
			return nil, err
		}
		return asked(func(ctx context.Context) error {
			if number.Add(1)%8 == 0 {
				return orders.Export(ctx)
			}
			return orders.Order(ctx)
		}), nil
	case "mongo_client":
		return asked(func(ctx context.Context) error { return clients.Archive(ctx, up.Sink, repaired) }), nil
	case "etcd_client":
		return plain(func() error { return clients.Flags(up.Sink, repaired) }), nil
	case "h2_body":
		catalog := &clients.Catalog{URL: up.H2, Repaired: repaired}
		catalog.Open()
		return asked(catalog.Header), nil
	case "ws_gorilla":
		return asked(func(ctx context.Context) error { return clients.Ticker(ctx, up.Websocket, repaired) }), nil
	case "ws_coder":
		return asked(func(ctx context.Context) error { return clients.Prices(ctx, up.Websocket, repaired) }), nil
	case "k8s_watch", "k8s_informer":
		tenants := &messages.Tenants{Repaired: repaired}
		if err := tenants.Open(up.Kubernetes); err != nil {
			return nil, err
		}
		if name == "k8s_watch" {
			return asked(tenants.Wait), nil
		}
		return asked(tenants.Reconcile), nil
	case "kafka_reader":
		return plain(func() error { return messages.Drain(up.Sink, repaired) }), nil
	case "kafka_client":
		return plain(func() error { return messages.Emit(up.Sink, repaired) }), nil
	case "nats_conn":
		return plain(func() error { return messages.Announce(up.NATS, repaired) }), nil
	case "otel_trace":
		return asked(func(ctx context.Context) error { return messages.Traced(ctx, repaired) }), nil
	case "otel_metric":
		return asked(func(ctx context.Context) error { return messages.Measured(ctx, repaired) }), nil
	case "fsnotify_watcher":
		return plain(func() error { return messages.Reload(repaired) }), nil
	case "lumberjack_log":
		return plain(func() error { return messages.Audit(repaired) }), nil
	case "zap_sink":
		return plain(func() error { return messages.Buffered(repaired) }), nil
	case "lru_cache":
		return plain(func() error { return messages.Cached(repaired) }), nil
	case "cron_start":
		return plain(func() error { return messages.Scheduled(repaired) }), nil
	case "prom_labels":
		requests := &messages.Requests{Repaired: repaired}
		requests.Open()
		return plain(func() error {
			for range 20 {
				requests.Observe(fmt.Sprint(number.Add(1)))
			}
			return nil
		}), nil
	}
	return local(name, up, repaired)
}

func local(name string, up chassis.Addresses, repaired bool) (chassis.Handle, error) {
	switch name {
	case "map_growth":
		store := &memory.Store[int64]{Repaired: repaired}
		return plain(func() error { return store.Remember(number.Add(1), strings.Repeat("x", 8<<10)) }), nil
	case "subslice":
		return plain(func() error { memory.Head(repaired); return nil }), nil
	case "hooks_registry":
		hooks := &memory.Hooks{Repaired: repaired}
		body := make([]byte, 8<<10)
		return plain(func() error { hooks.Register(body); return nil }), nil
	case "context_kept":
		return plain(func() error {
			for range 20 {
				memory.Derive(repaired)
			}
			return nil
		}), nil
	case "timer_closure":
		return plain(func() error {
			for range 20 {
				memory.Later(repaired)
			}
			return nil
		}), nil
	case "lock_forgotten":
		return plain((&locks.Shelf{Repaired: repaired}).Take), nil
	case "rlock_forgotten":
		index := &locks.Index{Repaired: repaired}
		return plain(func() error {
			n := int(number.Add(1))
			if n%10 == 0 {
				index.Rebuild()
			}
			return index.Find(n)
		}), nil
	case "semaphore_import":
		limit := &locks.Limit{Repaired: repaired}
		limit.Open()
		return asked(func(ctx context.Context) error {
			if number.Add(1)%4 == 0 {
				return limit.Import(ctx)
			}
			return limit.Resize(ctx)
		}), nil
	case "singleflight_stuck":
		return plain(func() error { locks.Price(repaired); return nil }), nil
	case "errgroup_send":
		return asked(func(ctx context.Context) error { return locks.Gather(ctx, repaired) }), nil
	case "waitgroup_go":
		return plain(func() error { locks.Watchers(repaired); return nil }), nil
	case "exec_start":
		return asked(func(ctx context.Context) error { return processes.Convert(ctx, repaired) }), nil
	case "notify_context":
		return plain(func() error { return processes.Await(repaired) }), nil
	case "http_server":
		return plain(func() error { return processes.Preview(repaired) }), nil
	case "io_pipe":
		return plain(func() error { return processes.Pipe(repaired) }), nil
	case "inhouse_worker":
		return plain(func() error { processes.Send(repaired); return nil }), nil
	case "file_map":
		return plain(func() error { return processes.Spool(repaired) }), nil
	case "healthy_users":
		return func(_ context.Context, w http.ResponseWriter, r *http.Request) error { return processes.Join(w, r) }, nil
	case "healthy_polls":
		return asked(processes.Poll), nil
	case "healthy_backpressure":
		queue := &processes.Queue{}
		queue.Open()
		return asked(func(ctx context.Context) error { return queue.Add(ctx, 1) }), nil
	case "healthy_cache_fills":
		pages := &processes.Pages{}
		return plain(func() error { pages.Page(int(number.Add(1))); return nil }), nil
	case "healthy_shards":
		shards := &processes.Shards{}
		return plain(func() error { shards.Put(int(number.Add(1))); return nil }), nil
	case "healthy_warmup":
		peers := &processes.Peers{Target: up.GRPC}
		return asked(func(ctx context.Context) error { return peers.Ask(ctx, int(number.Add(1))/4) }), nil
	}
	return nil, fmt.Errorf("there is no service %q", name)
}

// load asks `rate` times a second, and does not wait for answers; `users` opens websockets instead.
func load(url string, rate int, users bool) {
	client := &http.Client{}
	for range time.Tick(time.Second / time.Duration(rate)) {
		go func() {
			if users {
				connection, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
				if err == nil {
					_, _, _ = connection.ReadMessage()
				}
				return
			}
			response, err := client.Get(url)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}()
	}
}

func main() {
	name := flag.String("case", "", "the service to run")
	repaired := flag.Bool("repaired", false, "its repaired form")
	depends := flag.String("up", "{}", "addresses of what it depends on, as -upstream prints them")
	serve := flag.Bool("upstream", false, "be what the services depend on")
	ask := flag.String("load", "", "ask this URL")
	rate := flag.Int("rate", 20, "requests a second")
	users := flag.Bool("users", false, "open websockets")
	flag.Parse()
	switch {
	case *ask != "":
		load(*ask, *rate, *users)
	case *serve:
		up, err := upstream.Start()
		if err != nil {
			log.Fatal(err)
		}
		_ = json.NewEncoder(os.Stdout).Encode(up)
		select {}
	default:
		var up chassis.Addresses
		if err := json.Unmarshal([]byte(*depends), &up); err != nil {
			log.Fatal(err)
		}
		// What is not listened to is no dependency that hangs, but one that answers nothing.
		if _, _, err := net.SplitHostPort(up.Sink); err != nil {
			log.Fatal("-up has no Sink")
		}
		work, err := service(*name, up, *repaired)
		if err != nil {
			log.Fatal(err)
		}
		log.Fatal(chassis.New(up).Run(work))
	}
}
