// Command conn_read dials and reads without a deadline from a peer that says nothing.
package main

import (
	"bufio"
	"context"
	"net"
	"strings"

	"leakwarden.dev/e2e/profiles/internal/service"
)

type probe struct{ addr string }

func (p probe) banner() (string, error) {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return bufio.NewReader(conn).ReadString('\n') //truth:CallWithoutDeadline main.probe.banner
}

func main() {
	service.Run(func(upstream string) service.Work {
		p := probe{strings.TrimPrefix(upstream, "http://")}
		return func(context.Context) error {
			go p.banner()
			return nil
		}
	})
}
