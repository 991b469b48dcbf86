// Command kept keeps things in all the ways that the table has a kind of Go's own for, each in a function of its name, and
// writes its heap and goroutine profiles, with every allocation recorded, into the folder given as argument.
package main

import (
	"container/list"
	"context"
	"crypto/x509"
	"errors"
	"expvar"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"reflect"
	"regexp"
	"runtime"
	"runtime/pprof"
	"sync"
	"text/template"
	"time"
)

var keep []any
var sm sync.Map
var li = list.New()
var ctx = context.Background()
var lg = slog.New(slog.NewTextHandler(io.Discard, nil))
var er error
var mux = http.NewServeMux()
var em = expvar.NewMap("x")
var jar, _ = cookiejar.New(nil)
var pool = x509.NewCertPool()
var tm = template.New("root")
var bigmap = map[string]*int{}

func putInSyncMap(i int) { sm.Store(fmt.Sprint(i), i) }
func putInList(i int)    { li.PushBack(i) }
func chainContext(i int) { ctx = context.WithValue(ctx, i, i) }
func chainLogger(i int)  { lg = lg.With("k", i) }
func joinErrors(i int)   { er = errors.Join(er, fmt.Errorf("e%d", i)) }
func addHandler(i int) {
	mux.HandleFunc(fmt.Sprintf("/a%d", i), func(http.ResponseWriter, *http.Request) {})
}
func addKey(i int) { em.Add(fmt.Sprint(i), 1) }
func setCookie(i int) {
	u, _ := url.Parse(fmt.Sprintf("http://a%d.example.org", i))
	jar.SetCookies(u, []*http.Cookie{{Name: "a", Value: "b"}})
}
func compile(i int)     { keep = append(keep, regexp.MustCompile(fmt.Sprintf("a%d.*b", i))) }
func addTemplate(i int) { template.Must(tm.New(fmt.Sprint("t", i)).Parse("hello {{.}}")) }
func makeType(i int) {
	keep = append(keep, reflect.StructOf([]reflect.StructField{{Name: fmt.Sprintf("F%d", i), Type: reflect.TypeOf(1)}}))
}
func putInMap(i int) { bigmap[fmt.Sprint("key", i)] = new(int) }
func notify(i int)   { c := make(chan os.Signal, 1); signal.Notify(c, os.Interrupt); go func() { <-c }() }
func pull(i int) {
	next, _ := iter.Pull(func(yield func(int) bool) {
		for j := range 10 {
			if !yield(j) {
				return
			}
		}
	})
	next()
	keep = append(keep, next)
}
func callLater(i int) {
	context.AfterFunc(context.WithoutCancel(ctx), func() { fmt.Println(i) })
	keep = append(keep, time.AfterFunc(time.Hour, func() { fmt.Println(i) }))
}

type fin struct{ b [100]byte }

var block = make(chan int)

func release(*fin)       { block <- 1 }
func setFinalizer(i int) { f := &fin{}; runtime.SetFinalizer(f, release) }
func addCleanup(i int)   { f := &fin{}; runtime.AddCleanup(f, func(int) { block <- 1 }, 1) }
func runAndHang(i int) {
	c := exec.Command("sh", "-c", "sleep 3 & echo x")
	c.Stdout = struct{ io.Writer }{io.Discard}
	c.Run()
}
func runLong() { exec.Command("sleep", "3").Run() }

func main() {
	runtime.MemProfileRate = 1
	go runAndHang(1)
	go runLong()
	for i := range 3000 {
		putInSyncMap(i)
		putInList(i)
		chainContext(i)
		chainLogger(i % 100)
		addHandler(i)
		addKey(i)
		setCookie(i)
		putInMap(i)
		if i < 200 {
			joinErrors(i)
			compile(i)
			addTemplate(i)
			makeType(i)
			notify(i)
			pull(i)
			callLater(i)
			setFinalizer(i)
			addCleanup(i)
		}
	}
	runtime.GC()
	time.Sleep(300 * time.Millisecond)
	runtime.GC()
	time.Sleep(300 * time.Millisecond)
	h, _ := os.Create(os.Args[1] + "/heap-2.pb.gz")
	pprof.Lookup("heap").WriteTo(h, 0)
	h.Close()
	g, _ := os.Create(os.Args[1] + "/goroutine-2.pb.gz")
	pprof.Lookup("goroutine").WriteTo(g, 0)
	g.Close()
	os.Exit(0) // the commands that were started end by themselves
}
