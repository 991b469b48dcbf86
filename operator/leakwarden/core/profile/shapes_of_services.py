"""Kinds of leaks: clients of services and databases."""

from __future__ import annotations

from leakwarden.core.profile.shapes import row

_DESCRIPTORS = frozenset({"descriptors"})
_BOTH = frozenset({"descriptors", "connections"})
_K8S = ("k8s.io/client-go", "k8s.io/apimachinery", "sigs.k8s.io/controller-runtime")
_REDIS = ("github.com/redis/go-redis", "github.com/go-redis/redis", "github.com/redis/rueidis")
_PGX = ("github.com/jackc/pgx", "github.com/jackc/puddle", "github.com/jackc/pgconn")
_MONGO = ("go.mongodb.org/mongo-driver",)

SERVICES = (
    # gRPC
    row(
        "GrpcConnectionNotClosed",
        "gRPC client connection not closed",
        "each ClientConn keeps goroutines, a resolver and a connection until Close",
        fix="make one ClientConn at start and share it, or defer conn.Close()",
        docs="https://pkg.go.dev/google.golang.org/grpc#ClientConn.Close",
        modules=("google.golang.org/grpc",),
        makes="NewClient Dial DialContext",
        runs="(*CallbackSerializer) (*http2Client). NewHTTP2Client (*addrConn). (*ccBalancerWrapper) (*dnsResolver)",
        holds=_DESCRIPTORS,
    ),
    row(
        "GrpcStreamNotEnded",
        "gRPC stream not ended",
        "a stream stays until its context is cancelled, or it was received from until an error or io.EOF",
        fix="cancel the stream's context on every path, or receive until io.EOF",
        docs="https://pkg.go.dev/google.golang.org/grpc#ClientConn.NewStream",
        modules=("google.golang.org/grpc",),
        makes=".NewStream NewClientStream newClientStream",
        runs="newClientStream newNonRetryClientStream",
    ),
    # Kubernetes
    row(
        "InformerNotStopped",
        "informer or reflector not stopped",
        "an informer watches until its stop channel is closed or its context ends: a watch, its connection and a cache stay",
        fix="share one informer factory for the process; close the stop channel, or cancel the context, when the owner ends",
        docs="https://pkg.go.dev/k8s.io/client-go/tools/cache#SharedInformer",
        modules=_K8S,
        makes="NewSharedInformer NewSharedIndexInformer NewSharedIndexInformerWithOptions NewInformer NewIndexerInformer"
        " NewInformerWithOptions NewSharedInformerFactory NewSharedInformerFactoryWithOptions NewFilteredSharedInformerFactory"
        " NewDynamicSharedInformerFactory NewFilteredDynamicSharedInformerFactory NewReflector NewReflectorWithOptions"
        " sharedIndexInformer.Run sharedIndexInformer.RunWithContext controller.Run sharedInformerFactory.Start"
        " Reflector.Run",
        runs="tools/cache.",
        holds=_DESCRIPTORS,
    ),
    row(
        "EventBroadcasterNotShutDown",
        "event broadcaster not shut down",
        "a broadcaster has goroutines until Shutdown",
        fix="make one broadcaster for the process; call Shutdown when its owner ends",
        docs="https://pkg.go.dev/k8s.io/client-go/tools/record#EventBroadcaster",
        modules=_K8S,
        makes="NewBroadcaster NewBroadcasterForTests eventBroadcasterImpl.StartRecordingToSink eventBroadcasterImpl.StartLogging",
        runs="tools/record. tools/events. (*Broadcaster)",
    ),
    row(
        "WatchNotStopped",
        "watch not stopped",
        "a watch keeps a connection and a goroutine until Stop is called, or its context ends",
        fix="defer w.Stop() right after the error check; give the watch a context that ends",
        docs="https://pkg.go.dev/k8s.io/apimachinery/pkg/watch#Interface",
        modules=_K8S,
        makes=".Watch NewStreamWatcher NewStreamWatcherWithLogger NewRetryWatcher NewRetryWatcherWithContext Until",
        runs="(*StreamWatcher) rest/watch. tools/watch.",
        holds=_DESCRIPTORS,
    ),
    row(
        "WorkqueueNotShutDown",
        "work queue not shut down",
        "a queue has goroutines until ShutDown",
        fix="make the queue once; defer queue.ShutDown()",
        docs="https://pkg.go.dev/k8s.io/client-go/util/workqueue#Interface",
        modules=_K8S,
        makes="New NewTyped NewNamed NewDelayingQueue NewRateLimitingQueue NewTypedRateLimitingQueue NewTypedDelayingQueue"
        " NewRateLimitingQueueWithConfig NewTypedRateLimitingQueueWithConfig",
        runs="util/workqueue.",
    ),
    # Redis
    row(
        "RedisPubSubNotClosed",
        "Redis subscription not closed",
        "a subscription holds a connection of its own and goroutines until Close",
        fix="defer pubsub.Close() right after Subscribe, on every path",
        docs="https://pkg.go.dev/github.com/redis/go-redis/v9#PubSub.Close",
        modules=_REDIS,
        makes=".Subscribe .PSubscribe .SSubscribe PubSub.Channel PubSub.ChannelWithSubscriptions",
        runs="(*PubSub) (*channel).",
        holds=_DESCRIPTORS,
    ),
    row(
        "RedisClientNotClosed",
        "Redis client not closed",
        "each client has a pool of connections and goroutines of its own until Close",
        fix="make one client at start and share it, or defer client.Close()",
        docs="https://pkg.go.dev/github.com/redis/go-redis/v9#Client.Close",
        modules=_REDIS,
        makes="NewClient NewClusterClient NewFailoverClient NewUniversalClient NewRing",
        runs="(*ConnPool) (*ClusterClient) (*Ring) maintnotifications (*sentinelFailover) (*clusterState",
        holds=_DESCRIPTORS,
    ),
    # PostgreSQL
    row(
        "PgxPoolNotClosed",
        "a pgx pool for every request",
        "each pool has connections and a health check of its own until Close",
        fix="make one pool at start and share it, or defer pool.Close()",
        docs="https://pkg.go.dev/github.com/jackc/pgx/v5/pgxpool#Pool.Close",
        modules=_PGX,
        makes="New NewWithConfig ConnectConfig",
        runs="(*Pool).backgroundHealthCheck (*Pool).checkHealth pgxpool.NewWithConfig",
        holds=_BOTH,
    ),
    row(
        "PgxConnectionNotClosed",
        "PostgreSQL connection not closed",
        "a connection that pgx.Connect opened stays until Close",
        fix="defer conn.Close(ctx), or take connections from a pool",
        docs="https://pkg.go.dev/github.com/jackc/pgx/v5#Conn.Close",
        modules=_PGX,
        makes="Connect ConnectWithOptions ConnectConfig",
        holds=_BOTH,
    ),
    # MongoDB
    row(
        "MongoCursorNotClosed",
        "MongoDB cursor or change stream not closed",
        "a cursor keeps its session and buffers, and on the server its state, until Close",
        fix="defer cursor.Close(ctx) right after the error check; Cursor.All closes it too",
        docs="https://pkg.go.dev/go.mongodb.org/mongo-driver/v2/mongo#Cursor.Close",
        modules=_MONGO,
        makes="Collection.Find Collection.Aggregate Collection.Watch Client.Watch Database.Watch Database.Aggregate",
    ),
    row(
        "MongoClientNotDisconnected",
        "MongoDB client not disconnected",
        "each client monitors every server with goroutines and connections of its own until Disconnect",
        fix="make one client at start and share it, or defer client.Disconnect(ctx)",
        docs="https://pkg.go.dev/go.mongodb.org/mongo-driver/v2/mongo#Client.Disconnect",
        modules=_MONGO,
        makes="Connect NewClient",
        runs="driver/topology.",
        holds=_BOTH,
    ),
)
