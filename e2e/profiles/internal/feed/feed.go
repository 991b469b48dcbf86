// Package feed passes values between goroutines, generically.
package feed

// Emit sends one value.
func Emit[T any](out chan<- T, value T) {
	out <- value //truth:ChannelSend/send_helper leakwarden.dev/e2e/profiles/internal/feed.Emit[...]
}

// Future is a value that will be there later.
type Future[T any] struct {
	done  chan struct{}
	value T
}

// NewFuture makes one without its value.
func NewFuture[T any]() *Future[T] { return &Future[T]{done: make(chan struct{})} }

// Set gives it its value.
func (f *Future[T]) Set(value T) {
	f.value = value
	close(f.done)
}

// Get waits for the value.
func (f *Future[T]) Get() T {
	<-f.done //truth:ChannelReceive/recv_future leakwarden.dev/e2e/profiles/internal/feed.(*Future[...]).Get
	return f.value
}
