// Command unseen_timeout_server answers lines on a socket; clients that say nothing keep their goroutine for ever.
package main

import (
	"bufio"
	"context"
	"net"
	"sync"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type server struct{ listener net.Listener }

func (s *server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.handle(conn)
	}
}

func (s *server) handle(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() { //truth:CallWithoutDeadline main.(*server).handle
		if _, err := conn.Write(lines.Bytes()); err != nil {
			return
		}
	}
}

func main() {
	service.Run(func(string) service.Work {
		listener, _ := net.Listen("tcp", "127.0.0.1:0")
		s := &server{listener}
		go s.accept()
		var mu sync.Mutex
		var silent []net.Conn
		return func(context.Context) error {
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			silent = append(silent, conn)
			return nil
		}
	})
}
