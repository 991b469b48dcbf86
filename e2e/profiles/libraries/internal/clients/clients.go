// Package clients asks other services: gRPC, Redis, PostgreSQL, MongoDB, etcd, HTTP/2, websockets.
package clients

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/http"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// Stock asks the stock service.
type Stock struct {
	Target   string
	Repaired bool
	shared   *grpc.ClientConn
}

// Reserve asks over a connection of its own.
func (s *Stock) Reserve(ctx context.Context) error {
	connection, err := grpc.NewClient(s.Target, grpc.WithTransportCredentials(insecure.NewCredentials())) //truth:GrpcConnectionNotClosed/grpc_conn
	if err != nil {
		return err
	}
	if s.Repaired {
		defer connection.Close()
	}
	_, err = grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

// Share makes the connection that Follow uses.
func (s *Stock) Share() {
	s.shared, _ = grpc.NewClient(s.Target, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// Follow reads one answer of a stream that goes on.
func (s *Stock) Follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if s.Repaired {
		defer cancel()
	} else {
		_ = cancel
	}
	stream, err := grpc_health_v1.NewHealthClient(s.shared).Watch(ctx, &grpc_health_v1.HealthCheckRequest{}) //truth:GrpcStreamNotEnded/grpc_stream
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// Notices waits for confirmations on a Redis channel.
type Notices struct {
	Client   *redis.Client
	Address  string
	Repaired bool
}

// Await subscribes for one order.
func (n *Notices) Await(ctx context.Context) error {
	subscription := n.Client.Subscribe(ctx, "orders") //truth:RedisPubSubNotClosed/redis_pubsub
	if n.Repaired {
		defer subscription.Close()
	}
	_ = subscription.Channel()
	return n.Client.Publish(ctx, "other", "x").Err()
}

// Count has a client for each call.
func (n *Notices) Count(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: n.Address, MinIdleConns: 1}) //truth:RedisClientNotClosed/redis_client
	if n.Repaired {
		defer client.Close()
	}
	kept = append(kept[:len(kept)%512], client)
	return client.Incr(ctx, "n").Err()
}

var kept []any

// Orders reads the orders' database.
type Orders struct {
	Address  string
	Repaired bool
	Pool     *pgxpool.Pool
}

// Open makes the pool that is shared.
func (o *Orders) Open(ctx context.Context) (err error) {
	o.Pool, err = pgxpool.New(ctx, "postgres://shop@"+o.Address+"/shop?sslmode=disable&pool_max_conns=16")
	return err
}

// Report has a pool for each call.
func (o *Orders) Report(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, "postgres://shop@"+o.Address+"/shop?sslmode=disable") //truth:PgxPoolNotClosed/pgx_pool
	if err != nil {
		return err
	}
	if o.Repaired {
		defer pool.Close()
	}
	return pool.Ping(ctx)
}

// Order reads one order and gives the connection back.
func (o *Orders) Order(ctx context.Context) error {
	connection, err := o.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer connection.Release()
	return connection.Ping(ctx)
}

// Export returns early on one path.
func (o *Orders) Export(ctx context.Context) error {
	connection, err := o.Pool.Acquire(ctx) //truth:PgxConnectionNotReleased/pgx_conn
	if err != nil {
		return err
	}
	if !o.Repaired && connection.Conn().IsClosed() == false {
		return nil
	}
	connection.Release()
	return nil
}

// Archive has a MongoDB client for each call.
func Archive(ctx context.Context, address string, repaired bool) error {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + address).SetServerSelectionTimeout(time.Millisecond)) //truth:MongoClientNotDisconnected/mongo_client
	if err != nil {
		return err
	}
	if repaired {
		defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	}
	return nil
}

// Flags has an etcd client for each call.
func Flags(address string, repaired bool) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}}) //truth:EtcdClientNotClosed/etcd_client
	if err != nil {
		return err
	}
	if repaired {
		defer client.Close()
	}
	return nil
}

// Catalog reads exports over HTTP/2.
type Catalog struct {
	URL      string
	Repaired bool
	client   *http.Client
}

// Open makes the client.
func (c *Catalog) Open() {
	c.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, //nolint:gosec // loopback
	}}
}

// Header reads the first line of an export.
func (c *Catalog) Header(ctx context.Context) error {
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, c.URL+"/export", nil)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request) //truth:Http2BodyNotClosed/h2_body
	if err != nil {
		return err
	}
	if c.Repaired {
		defer response.Body.Close()
	}
	_, err = bufio.NewReaderSize(response.Body, 64).ReadString('\n')
	return err
}

// Ticker opens a websocket for each call, by gorilla's package.
func Ticker(ctx context.Context, url string, repaired bool) error {
	connection, _, err := websocket.DefaultDialer.DialContext(context.WithoutCancel(ctx), url, nil) //truth:WebSocketNotClosed/ws_gorilla
	if err != nil {
		return err
	}
	if repaired {
		return connection.Close()
	}
	go pings(connection)
	return nil
}

func pings(connection *websocket.Conn) {
	for {
		if _, _, err := connection.ReadMessage(); err != nil { //way:ws_gorilla
			return
		}
	}
}

// Prices opens a websocket for each call, by coder's package.
func Prices(ctx context.Context, url string, repaired bool) error {
	connection, _, err := coder.Dial(context.WithoutCancel(ctx), url, nil) //truth:WebSocketNotClosed/ws_coder
	if err != nil {
		return err
	}
	if repaired {
		return connection.CloseNow()
	}
	kept = append(kept, connection)
	return nil
}
