// Package jobs runs functions in the background and hands their results over.
package jobs

// Result is what a job ended with.
type Result[T any] struct {
	Value T
	Err   error
}

// Start runs fn and returns where its result will come.
func Start[T any](fn func() (T, error)) <-chan Result[T] {
	out := make(chan Result[T])
	go func() {
		value, err := fn()
		out <- Result[T]{value, err} //truth:ChannelSend/unseen_send_generic leakwarden.dev/e2e/profiles/internal/jobs.Start[...].func1
	}()
	return out
}
