// Command unseen_select_stream forwards a stream for every client and does not notice that the client went away.
package main

import (
	"context"
	"time"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type stream struct {
	frames chan []byte
	closed chan struct{}
}

type hub struct{ streams chan *stream }

func (h *hub) forward(s *stream, sink func([]byte)) {
	var idle <-chan time.Time
	for {
		select { //truth:SelectNeverWoken main.(*hub).forward
		case frame, more := <-s.frames:
			if !more {
				return
			}
			sink(frame)
		case <-idle:
			return
		case <-s.closed:
			return
		}
	}
}

func (h *hub) serve(context.Context) error {
	s := &stream{make(chan []byte, 1), make(chan struct{})}
	go h.forward(s, func([]byte) {})
	s.frames <- []byte("hello")
	return nil
}

func main() {
	service.Run(func(string) service.Work { return (&hub{}).serve })
}
