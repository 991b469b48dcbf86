// Package processes has commands, signals, servers and pipes.
package processes

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"example.org/harbour/kit/worker"
)

// Convert starts a command.
func Convert(ctx context.Context, repaired bool) error {
	var out strings.Builder
	command := exec.CommandContext(context.WithoutCancel(ctx), "sleep", "300") //way:exec_start
	command.Stdout = &out
	if repaired {
		command = exec.CommandContext(ctx, "true")
		command.Stdout = &out
	}
	if err := command.Start(); err != nil { //truth:CommandNotWaited/exec_start
		return err
	}
	if repaired {
		return command.Wait()
	}
	return nil
}

// Await has a context for each call that ends with a signal.
func Await(repaired bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGHUP) //truth:SignalContextNotStopped/notify_context
	if repaired {
		defer stop()
	}
	return ctx.Err()
}

// Preview serves one file for each call.
func Preview(repaired bool) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //way:http_server
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go server.Serve(listener) //truth:ServerNotShutDown/http_server
	if repaired {
		return server.Close()
	}
	return nil
}

// Pipe writes what nobody reads to its end.
func Pipe(repaired bool) error {
	reader, writer := io.Pipe() //way:io_pipe
	go func() {
		_, err := io.Copy(writer, strings.NewReader(strings.Repeat("x", 64))) //truth:PipeNotClosed/io_pipe
		_ = writer.CloseWithError(err)
	}()
	if repaired {
		defer reader.Close()
	}
	_, err := io.ReadFull(reader, make([]byte, 8))
	return err
}

// Send starts a worker of the company's library for each mail.
func Send(repaired bool) {
	mailer := worker.Start() //truth:MadeHereAndKept/inhouse_worker
	mailer.Do(func() {})
	if repaired {
		mailer.Stop()
	}
}

// Spool opens a file for each call.
func Spool(repaired bool) error {
	file, err := os.Open(os.Args[0]) //truth:FileNotClosed/file_map
	if err != nil {
		return err
	}
	if repaired {
		return file.Close()
	}
	files = append(files, file) //way:file_map
	return nil
}

var files []*os.File
