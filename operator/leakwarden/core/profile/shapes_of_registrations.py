"""Kinds of leaks: listeners, callbacks, jobs and keys that are given to a library, which keeps them until they are taken
out. Nothing has a Close here, so that the advice names the opposite call, or the better place for the call."""

from __future__ import annotations

from leakwarden.core.profile.shapes import row

_AMQP = ("github.com/rabbitmq/amqp091-go", "github.com/streadway/amqp")
_K8S = ("k8s.io/client-go", "sigs.k8s.io/controller-runtime")

REGISTRATIONS = (
    row(
        "AmqpListenerKept",
        "AMQP listener registered over and over",
        "a channel or connection keeps every listener that Notify... was given until it is closed itself",
        fix="call NotifyClose, NotifyReturn or NotifyPublish once, right after the channel is opened, and use the same Go"
        " channel for every publish; or close the AMQP channel",
        docs="https://pkg.go.dev/github.com/rabbitmq/amqp091-go#Channel.NotifyClose",
        modules=_AMQP,
        makes=".NotifyClose .NotifyReturn .NotifyPublish .NotifyConfirm .NotifyCancel .NotifyFlow .NotifyBlocked",
    ),
    row(
        "OtelCallbackKept",
        "OpenTelemetry callback registered over and over",
        "a meter keeps every callback, and what it refers to, until Unregister",
        fix="call Unregister on what RegisterCallback gave when its owner ends, or register once at start",
        docs="https://pkg.go.dev/go.opentelemetry.io/otel/metric#Registration",
        modules=("go.opentelemetry.io/otel",),
        makes=".RegisterCallback WithInt64Callback WithFloat64Callback",
    ),
    row(
        "AttributeCardinality",
        "attributes with ever new values",
        "each new combination of attribute values makes a data point that a cumulative reader keeps",
        fix="leave identifiers, paths and users out of a metric's attributes; drop them with a View's attribute filter",
        docs="https://pkg.go.dev/go.opentelemetry.io/otel/sdk/metric#View",
        modules=("go.opentelemetry.io/otel/sdk/metric",),
        makes="int64Inst.Add float64Inst.Add int64Inst.Record float64Inst.Record",
    ),
    row(
        "MetricNamesGrow",
        "metrics with ever new names or tags",
        "the registry keeps a metric for each name and set of tags that it was ever asked for",
        fix="leave identifiers, paths and users out of names and tags; Unregister (or Stop) what is gone",
        docs="https://pkg.go.dev/github.com/rcrowley/go-metrics#Registry",
        modules=(
            "github.com/rcrowley/go-metrics",
            "github.com/uber-go/tally",
            "github.com/armon/go-metrics",
            "github.com/hashicorp/go-metrics",
        ),
        makes="NewRegisteredCounter GetOrRegisterMeter GetOrRegisterTimer"
        " GetOrRegisterCounter GetOrRegisterGauge GetOrRegisterHistogram .GetOrRegister scope.Tagged scope.SubScope"
        " scope.Counter scope.Timer",
    ),
    row(
        "MeterNotStopped",
        "meters or timers of metrics that are never stopped",
        "each meter stays in the list of the goroutine that updates all meters until its Stop, also where no registry holds it",
        fix="call Stop on each meter and timer when its owner ends (Registry.UnregisterAll does so for a registry's own), or make one"
        " set of meters at start and share it",
        docs="https://pkg.go.dev/github.com/rcrowley/go-metrics#Meter",
        modules=("github.com/rcrowley/go-metrics",),
        makes="NewMeter NewTimer NewRegisteredMeter NewRegisteredTimer",
        runs="(*meterArbiter).tick",
    ),
    row(
        "CircuitPerName",
        "circuit breakers with ever new names",
        "a circuit, with goroutines that count its calls and a pool of tickets, is made for each command name and never let go",
        fix="use a bounded set of command names (the called service, not the user, identifier or path); hystrix.Flush lets go of all",
        docs="https://pkg.go.dev/github.com/afex/hystrix-go/hystrix#Do",
        modules=("github.com/afex/hystrix-go",),
        makes="Do DoC Go GoC GetCircuit ConfigureCommand newCircuitBreaker",
        runs="(*metricExchange) (*poolMetrics) (*executorPool)",
    ),
    row(
        "BreakerPerKey",
        "circuit breakers that are kept for every key",
        "a breaker for each user, address or key stays in the map that holds it; nothing takes out those that are idle",
        fix="make one breaker for each called service; where keys are many, take out breakers that were idle for a while, or hold them in"
        " an LRU with a bound",
        docs="https://pkg.go.dev/github.com/sony/gobreaker/v2#NewCircuitBreaker",
        modules=("github.com/sony/gobreaker",),
        makes="NewCircuitBreaker NewTwoStepCircuitBreaker",
    ),
    row(
        "RequestContextNotCleared",
        "values of a request that are never cleared",
        "gorilla/context keeps values, and with them the request, in a global map until Clear",
        fix="wrap the handler in context.ClearHandler, or defer context.Clear(r); better keep values in the request's own context:"
        " r.WithContext(context.WithValue(r.Context(), key, value))",
        docs="https://pkg.go.dev/github.com/gorilla/context#ClearHandler",
        modules=("github.com/gorilla/context",),
        makes="Set",
    ),
    row(
        "LoaderCacheGrows",
        "a data loader whose cache only grows",
        "a loader keeps all that it ever loaded: it is meant to be made for each request",
        fix="make the loader for each request (in a middleware); where it is shared, use NoCache or WithClearCacheOnBatch, Clear keys that"
        " are done, or give it a cache with a bound",
        docs="https://pkg.go.dev/github.com/graph-gophers/dataloader/v7#Cache",
        modules=("github.com/graph-gophers/dataloader", "github.com/vikstrous/dataloadgen"),
        makes="batcher.batch Loader.Load Loader.LoadMany Loader.LoadThunk Loader.LoadAll Loader.Prime NewBatchedLoader NewLoader",
    ),
    row(
        "TraceNotFinished",
        "a trace that is never finished",
        "a trace stays in its family's list of active ones, with all its events, until Finish",
        fix="defer tr.Finish() right after trace.New; for an EventLog, Finish it when its owner ends",
        docs="https://pkg.go.dev/golang.org/x/net/trace#Trace",
        modules=("golang.org/x/net/trace",),
        makes="New NewEventLog trace.LazyPrintf trace.LazyLog trace.addEvent eventLog.Printf eventLog.Errorf",
    ),
    row(
        "RateLimiterPerKey",
        "rate limiters that are kept for every key",
        "a limiter for each user, address or key stays in the map that holds it; nothing takes out those that are idle",
        fix="take out limiters that were idle for a while (a sweep by their time of last use), or hold them in an LRU or TTL"
        " cache with a bound",
        docs="https://pkg.go.dev/golang.org/x/time/rate#Limiter",
        modules=("golang.org/x/time/rate", "go.uber.org/ratelimit", "github.com/juju/ratelimit"),
        makes="NewLimiter New NewUnlimited NewBucket NewBucketWithRate NewBucketWithQuantum",
    ),
    row(
        "JobNeverRemoved",
        "jobs added to a scheduler and never removed",
        "a scheduler keeps every job, and what its function refers to, until it is removed",
        fix="keep the job's id and Remove it (RemoveJob, RemoveByTag) when its owner ends; add recurring jobs once, at start",
        docs="https://pkg.go.dev/github.com/robfig/cron/v3#Cron.Remove",
        modules=("github.com/robfig/cron", "github.com/go-co-op/gocron", "github.com/jasonlvhit/gocron"),
        makes="Cron.AddFunc Cron.AddJob Cron.Schedule scheduler.NewJob Scheduler.Every Job.Do",
    ),
    row(
        "InformerHandlerKept",
        "event handler of an informer never removed",
        "a shared informer has two goroutines and a buffer for each handler until RemoveEventHandler",
        fix="call RemoveEventHandler with what AddEventHandler gave when its owner ends, or add one handler at start",
        docs="https://pkg.go.dev/k8s.io/client-go/tools/cache#SharedInformer",
        modules=_K8S,
        makes=".AddEventHandler .AddEventHandlerWithResyncPeriod .AddEventHandlerWithOptions",
        runs="(*processorListener)",
        part_of="InformerNotStopped",
    ),
    row(
        "SubscriptionKept",
        "subscribed to an event bus and never unsubscribed",
        "the bus keeps every subscriber, its channel and what its function refers to until it is taken out",
        fix="call Unsubscribe (or Unsub, or cancel the context given to Subscribe) on every path, with defer",
        docs="https://pkg.go.dev/github.com/asaskevich/EventBus#EventBus.Unsubscribe",
        modules=("github.com/asaskevich/EventBus", "github.com/cskr/pubsub", "github.com/ThreeDotsLabs/watermill"),
        makes=".Subscribe .SubscribeAsync .SubscribeOnce .Sub .SubOnce .AddSub",
        runs="gochannel. (*subscriber)",
    ),
    row(
        "MqttRouteKept",
        "MQTT subscription never ended",
        "the client keeps a route and its handler for each filter until Unsubscribe",
        fix="call Unsubscribe for each filter that is no longer needed",
        docs="https://pkg.go.dev/github.com/eclipse/paho.mqtt.golang#Client",
        modules=("github.com/eclipse/paho.mqtt.golang",),
        makes="client.Subscribe client.SubscribeMultiple client.AddRoute",
    ),
    row(
        "WatchedPathKept",
        "paths added to a file watcher and never removed",
        "the watcher keeps a watch of the system for each path until Remove",
        fix="call Remove for a path that is no longer watched; watch the directory once",
        docs="https://pkg.go.dev/github.com/fsnotify/fsnotify#Watcher.Remove",
        modules=("github.com/fsnotify/fsnotify", "github.com/radovskyb/watcher"),
        makes="Watcher.Add Watcher.AddWith Watcher.AddRecursive",
    ),
    row(
        "ZooKeeperWatchKept",
        "ZooKeeper watches set over and over",
        "a watch and its channel stay until the node changes; asking again adds another",
        fix="read the channel that the last call gave before asking again; use Get, Exists or Children where no watch is needed",
        docs="https://pkg.go.dev/github.com/go-zookeeper/zk#Conn.GetW",
        modules=("github.com/go-zookeeper/zk", "github.com/samuel/go-zookeeper"),
        makes="Conn.GetW Conn.ExistsW Conn.ChildrenW",
    ),
    row(
        "HookAddedPerCall",
        "hook or processor added over and over",
        "the client, logger or scope that is shared keeps every hook it was given, and calls all of them",
        fix="add hooks once, where the client or logger is made; for one call use a clone of its own",
        docs="https://pkg.go.dev/github.com/redis/go-redis/v9#Hook",
        modules=(
            "github.com/redis/go-redis",
            "github.com/sirupsen/logrus",
            "github.com/getsentry/sentry-go",
            "github.com/gocolly/colly",
        ),
        makes=".AddHook .AddEventProcessor AddGlobalEventProcessor Collector.OnRequest Collector.OnResponse"
        " Collector.OnHTML Collector.OnError Collector.OnScraped",
    ),
    row(
        "LoggerContextGrows",
        "a logger that is made of the one before, again and again",
        "each With adds its fields to those of the logger it is called on; a shared logger that is replaced by the result,"
        " or changed by UpdateContext, grows for ever",
        fix="derive a logger for each request with With(), and do not store it back; no UpdateContext on a shared logger",
        docs="https://pkg.go.dev/github.com/rs/zerolog#Logger.UpdateContext",
        modules=(
            "github.com/rs/zerolog",
            "go.uber.org/zap",
            "github.com/sirupsen/logrus",
            "github.com/hashicorp/go-hclog",
        ),
        makes="Logger.UpdateContext Logger.With SugaredLogger.With Logger.WithOptions Entry.WithField Entry.WithFields"
        " Logger.WithField Logger.WithFields intLogger.With intLogger.Named Context.Str Context.Int Context.Interface Context.Any",
    ),
    row(
        "SseStreamKept",
        "event stream made and never removed",
        "the server keeps a stream and its goroutine until RemoveStream, and all events that were ever published to it while AutoReplay is"
        " on, as it is by default",
        fix="set the server's AutoReplay to false where late subscribers need no old events, and call RemoveStream when the last subscriber"
        " is gone",
        docs="https://pkg.go.dev/github.com/r3labs/sse/v2#Server.RemoveStream",
        modules=("github.com/r3labs/sse",),
        makes="Server.CreateStream",
        runs="(*Stream)",
    ),
    row(
        "ErrorsAccumulate",
        "errors that are collected and never let go",
        "an error that is joined with the one before keeps all earlier ones",
        fix="collect errors in a variable of one run; report them and begin with nil again",
        docs="https://pkg.go.dev/github.com/hashicorp/go-multierror#Append",
        modules=("github.com/hashicorp/go-multierror", "go.uber.org/multierr"),
        makes="Append Combine AppendInto",
    ),
    row(
        "ConcurrentMapGrows",
        "a concurrent map or tree that only grows",
        "entries are put in and never taken out",
        fix="Delete entries that are done on every path; where they are a cache, bound it by size or time",
        docs="https://go.dev/doc/diagnostics",
        modules=(
            "github.com/orcaman/concurrent-map",
            "github.com/puzpuzpuz/xsync",
            "github.com/cornelk/hashmap",
            "github.com/alphadose/haxmap",
            "github.com/google/btree",
            "github.com/tidwall/btree",
            "github.com/emirpasic/gods",
            "github.com/patrickmn/go-cache",
        ),
        makes=".Store .Set .SetIfAbsent .Upsert .LoadOrStore .LoadOrCompute .Compute .ReplaceOrInsert .Put .SetDefault .Add",
    ),
)
