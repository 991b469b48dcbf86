package processes

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

var upgrader = websocket.Upgrader{}

// Join keeps a user's websocket, with a goroutine that writes to it, as long as the user stays.
func Join(w http.ResponseWriter, r *http.Request) error {
	connection, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return err
	}
	defer connection.Close()
	news := make(chan []byte, 8)
	defer close(news)
	go func() {
		for message := range news {
			_ = connection.WriteMessage(websocket.TextMessage, message)
		}
	}()
	for {
		if _, _, err := connection.ReadMessage(); err != nil {
			return err
		}
	}
}

// Poll answers after a long while, as long polls do.
func Poll(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(2 * time.Minute):
	}
	return nil
}

// Queue has a sink that is slow for a while.
type Queue struct{ items chan int }

// Open starts the sink.
func (q *Queue) Open() {
	q.items = make(chan int, 8)
	go func() {
		for range q.items {
			time.Sleep(time.Second)
		}
	}()
}

// Add waits until there is room.
func (q *Queue) Add(ctx context.Context, n int) error {
	select {
	case q.items <- n:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pages caches pages; at 20,000 it is full.
type Pages struct {
	mu    sync.Mutex
	pages map[int][]byte
}

// Page renders one or takes it from the cache.
func (p *Pages) Page(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pages == nil {
		p.pages = map[int][]byte{}
	}
	if page, ok := p.pages[n%20000]; ok {
		return page
	}
	page := make([]byte, 8<<10)
	p.pages[n%20000] = page
	return page
}

// Shards has a worker for each shard, and more shards come.
type Shards struct {
	mu    sync.Mutex
	feeds map[int]chan int
}

// Put gives an order to its shard.
func (s *Shards) Put(n int) {
	s.mu.Lock()
	feed, ok := s.feeds[n%400]
	if !ok {
		if s.feeds == nil {
			s.feeds = map[int]chan int{}
		}
		feed = make(chan int, 4)
		s.feeds[n%400] = feed
		go func() {
			for range feed {
			}
		}()
	}
	s.mu.Unlock()
	feed <- n
}

// Peers opens one connection to each of its peers, the first time that it is asked for.
type Peers struct {
	Target string
	mu     sync.Mutex
	known  map[int]*grpc.ClientConn
}

// Ask asks a peer.
func (p *Peers) Ask(ctx context.Context, n int) error {
	p.mu.Lock()
	connection, ok := p.known[n%60]
	if !ok {
		if p.known == nil {
			p.known = map[int]*grpc.ClientConn{}
		}
		connection, _ = grpc.NewClient(p.Target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		p.known[n%60] = connection
	}
	p.mu.Unlock()
	_, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}
