// Package sidecar runs a dependency of a service as a process of its own, so that what the service leaks is not seen
// twice in its profiles and descriptors.
package sidecar

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

const variable = "SIDECAR"

// Serve is to be called first in main: in the sidecar's process it serves and does not return.
func Serve(serve func(net.Listener) error) {
	if os.Getenv(variable) == "" {
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	fmt.Fprintln(os.Stderr, serve(listener))
	os.Exit(1)
}

// Start starts the sidecar, which ends with this process, and returns its address.
func Start() (string, error) {
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), variable+"=1")
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := command.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", err
	}
	go func() { _ = command.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the sidecar did not start: %w", err)
	}
	return strings.TrimSpace(line), nil
}
