// Package messages has queues, watches, telemetry and files.
package messages

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/robfig/cron/v3"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap/zapcore"
	"gopkg.in/natefinch/lumberjack.v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// Tenants follows the tenants' configuration.
type Tenants struct {
	Repaired bool
	client   dynamic.Interface
}

// Open makes the client.
func (t *Tenants) Open(url string) (err error) {
	t.client, err = dynamic.NewForConfig(&rest.Config{Host: url, QPS: 1000, Burst: 1000})
	return err
}

// Wait watches until the first event.
func (t *Tenants) Wait(ctx context.Context) error {
	events, err := t.client.Resource(configMaps).Namespace("shop").Watch(context.WithoutCancel(ctx), metav1.ListOptions{}) //truth:WatchNotStopped/k8s_watch
	if err != nil {
		return err
	}
	if t.Repaired {
		defer events.Stop()
	}
	<-events.ResultChan()
	return nil
}

// Reconcile has an informer for each call.
func (t *Tenants) Reconcile(_ context.Context) error {
	resource := t.client.Resource(configMaps).Namespace("shop")
	lister := &cache.ListWatch{ //way:k8s_informer
		ListFunc:  func(o metav1.ListOptions) (runtime.Object, error) { return resource.List(context.Background(), o) },
		WatchFunc: func(o metav1.ListOptions) (watch.Interface, error) { return resource.Watch(context.Background(), o) },
	}
	informer := cache.NewSharedIndexInformer(lister, nil, 0, cache.Indexers{}) //truth:InformerNotStopped/k8s_informer
	stop := make(chan struct{})                                                //way:k8s_informer
	go informer.Run(stop)                                                      //way:k8s_informer
	if t.Repaired {
		defer close(stop)
	}
	cache.WaitForCacheSync(stop, informer.HasSynced)
	return nil
}

// Drain has a reader for each call.
func Drain(address string, repaired bool) error {
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{address}, Topic: "orders", GroupID: "shop"}) //truth:KafkaReaderNotClosed/kafka_reader
	if repaired {
		return reader.Close()
	}
	return nil
}

// Emit has a client for each call.
func Emit(address string, repaired bool) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address)) //truth:KafkaClientNotClosed/kafka_client
	if err != nil {
		return err
	}
	if repaired {
		client.Close()
	}
	return nil
}

// Announce has a connection for each call.
func Announce(address string, repaired bool) error {
	connection, err := nats.Connect("nats://" + address) //truth:NatsConnectionNotClosed/nats_conn
	if err != nil {
		return err
	}
	if repaired {
		connection.Close()
	}
	return nil
}

// Traced has a tracer provider for each call.
func Traced(ctx context.Context, repaired bool) error {
	provider := trace.NewTracerProvider(trace.WithBatcher(tracetest.NewInMemoryExporter())) //truth:TracerProviderNotShutDown/otel_trace
	if repaired {
		defer func() { _ = provider.Shutdown(ctx) }()
	}
	_, span := provider.Tracer("shop").Start(ctx, "work")
	span.End()
	return nil
}

// Measured has a meter provider for each call.
func Measured(ctx context.Context, repaired bool) error {
	reader := metric.NewPeriodicReader(discard{})                  //truth:TracerProviderNotShutDown/otel_metric
	provider := metric.NewMeterProvider(metric.WithReader(reader)) //way:otel_metric
	if repaired {
		return provider.Shutdown(ctx)
	}
	return nil
}

// Reload watches a directory for each call.
func Reload(repaired bool) error {
	watcher, err := fsnotify.NewWatcher() //truth:WatcherNotClosed/fsnotify_watcher
	if err != nil {
		return err
	}
	if repaired {
		defer watcher.Close()
	}
	return watcher.Add(os.TempDir())
}

// Audit has a rotating log for each call.
func Audit(repaired bool) error {
	if repaired {
		shared.Info("order")
		return nil
	}
	sink := &lumberjack.Logger{Filename: filepath.Join(os.TempDir(), "corpus-audit.log"), MaxSize: 100} //way:lumberjack_log
	slog.New(slog.NewTextHandler(sink, nil)).Info("order")                                              //truth:LumberjackPerRequest/lumberjack_log
	return nil
}

var shared = slog.New(slog.NewTextHandler(&lumberjack.Logger{Filename: filepath.Join(os.TempDir(), "corpus-shared.log"), MaxSize: 100}, nil))

// Buffered has a buffered sink for each call.
func Buffered(repaired bool) error {
	sink := &zapcore.BufferedWriteSyncer{WS: zapcore.AddSync(nowhere{}), Size: 4096} //way:zap_sink
	if repaired {
		defer func() { _ = sink.Stop() }()
	}
	_, err := sink.Write([]byte("order\n")) //truth:LogSinkNotStopped/zap_sink
	return err
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// Cached has an expiring cache for each call.
func Cached(repaired bool) error {
	if repaired {
		sessions.Add("a", nil)
		return nil
	}
	local := expirable.NewLRU[string, []byte](64, nil, time.Minute) //truth:CacheNotStopped/lru_cache
	local.Add("a", nil)
	return nil
}

var sessions = expirable.NewLRU[string, []byte](64, nil, time.Minute)

// Scheduled has a scheduler for each call.
func Scheduled(repaired bool) error {
	scheduler := cron.New()                                            //way:cron_start
	if _, err := scheduler.AddFunc("@hourly", func() {}); err != nil { //way:cron_start
		return err
	}
	scheduler.Start() //truth:SchedulerNotStopped/cron_start
	if repaired {
		<-scheduler.Stop().Done()
	}
	return nil
}

// Requests counts requests.
type Requests struct {
	Repaired bool
	total    *prometheus.HistogramVec
}

// Open registers the series.
func (r *Requests) Open() {
	r.total = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "requests_seconds"}, []string{"order"})
}

// Observe counts one, for each order by itself.
func (r *Requests) Observe(order string) {
	if r.Repaired {
		order = "any"
	}
	r.total.WithLabelValues(order).Observe(0.1) //truth:LabelCardinality/prom_labels
}
