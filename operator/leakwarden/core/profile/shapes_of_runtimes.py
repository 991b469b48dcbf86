"""Kinds of leaks: interpreters, decoders, browsers, followed files, managers: things with a life of their own."""

from __future__ import annotations

from leakwarden.core.profile.shapes import row

_DESCRIPTORS = frozenset({"descriptors"})

RUNTIMES = (
    row(
        "WasmModuleNotClosed",
        "WebAssembly module or runtime not closed",
        "an instance, with its linear memory, and compiled code stay in the runtime until Close",
        fix="defer mod.Close(ctx) right after InstantiateModule, or keep one instance and use it again; compile a module once",
        docs="https://pkg.go.dev/github.com/tetratelabs/wazero/api#Module",
        modules=(
            "github.com/tetratelabs/wazero",
            "github.com/bytecodealliance/wasmtime-go",
            "github.com/extism/go-sdk",
        ),
        makes="runtime.InstantiateModule runtime.Instantiate runtime.InstantiateWithConfig runtime.CompileModule NewRuntime"
        " NewRuntimeWithConfig NewEngine NewStore NewInstance NewPlugin NewCompiledPlugin",
    ),
    row(
        "InterpreterKept",
        "an interpreter or compiled program for every call",
        "each has its own globals, code and stacks, and stays while something refers to it",
        fix="compile a script once and keep the program by its text, with a bound; Close states (lua) and drop interpreters"
        " that are done, or lend them from a pool",
        docs="https://pkg.go.dev/github.com/yuin/gopher-lua#LState.Close",
        modules=(
            "github.com/yuin/gopher-lua",
            "github.com/dop251/goja",
            "github.com/robertkrimen/otto",
            "github.com/google/cel-go",
            "github.com/expr-lang/expr",
            "go.starlark.net",
            "rogchap.com/v8go",
        ),
        makes="NewState New Compile CompileAST Env.Program Env.Compile NewEnv ExecFile NewIsolate NewContext LState.NewThread",
    ),
    row(
        "DecoderNotClosed",
        "decoder or encoder not closed",
        "a streaming (de)compressor has goroutines and buffers of some MiB until Close; a reader that is only dropped, or"
        " wrapped in io.NopCloser, keeps them",
        fix="defer d.Close() right after NewReader (or use d.IOReadCloser()); lend decoders from a pool with Reset",
        docs="https://pkg.go.dev/github.com/klauspost/compress/zstd#Decoder.Close",
        modules=(
            "github.com/klauspost/compress",
            "github.com/klauspost/pgzip",
            "github.com/pierrec/lz4",
            "github.com/andybalholm/brotli",
        ),
        makes="NewReader NewWriter NewWriterLevel NewReaderN",
        runs="zstd. (*Decoder) (*Encoder) (*Writer) (*Reader)",
    ),
    row(
        "TailNotStopped",
        "followed file not stopped",
        "following a file has a goroutine, a descriptor and a watch until Stop; the watch stays until Cleanup",
        fix="call Stop and then Cleanup on the tail when its reader is gone, with defer",
        docs="https://pkg.go.dev/github.com/nxadm/tail#Tail.Stop",
        modules=("github.com/nxadm/tail", "github.com/hpcloud/tail"),
        makes="TailFile",
        runs="(*Tail) watch. (*InotifyTracker)",
        holds=_DESCRIPTORS,
    ),
    row(
        "LogWriterNotClosed",
        "writer of a logger not closed",
        "logrus gives a pipe with a goroutine that reads it until the writer is closed",
        fix="defer w.Close() right after Writer or WriterLevel; or make one writer at start and share it",
        docs="https://pkg.go.dev/github.com/sirupsen/logrus#Logger.Writer",
        modules=("github.com/sirupsen/logrus",),
        makes="Logger.Writer Logger.WriterLevel Entry.Writer Entry.WriterLevel",
        runs="writerScanner",
    ),
    row(
        "BrowserNotClosed",
        "browser, page or tab not closed",
        "a browser or tab has goroutines, a connection and mostly a process until its context is cancelled or it is closed",
        fix="defer cancel() for each context that chromedp gives; Close pages and browsers on every path",
        docs="https://pkg.go.dev/github.com/chromedp/chromedp#NewContext",
        modules=(
            "github.com/chromedp/chromedp",
            "github.com/go-rod/rod",
            "github.com/playwright-community/playwright-go",
        ),
        makes="NewContext NewExecAllocator Run Browser.Connect Browser.Page Browser.MustPage Launcher.Launch"
        " browserTypeImpl.Launch browserImpl.NewPage browserImpl.NewContext browserContextImpl.NewPage",
        runs="(*Browser) (*Target) (*ExecAllocator) (*Page) cdp. (*connection) (*pipeTransport)",
        holds=_DESCRIPTORS,
    ),
    row(
        "ConfigWatchNotEnded",
        "configuration watched over and over",
        "WatchConfig starts a goroutine and a file watcher that nothing ends",
        fix="call WatchConfig once, at start, on one Viper",
        docs="https://pkg.go.dev/github.com/spf13/viper#Viper.WatchConfig",
        modules=("github.com/spf13/viper",),
        makes="Viper.WatchConfig WatchConfig Viper.WatchRemoteConfigOnChannel",
        runs="(*Viper).WatchConfig",
        holds=_DESCRIPTORS,
    ),
    row(
        "ManagerNotEnded",
        "manager, election or port forward not ended",
        "it has watches, caches and goroutines until its context ends, or its stop channel is closed",
        fix="run one for the process; else give it a context of its own and cancel that when its owner ends",
        docs="https://pkg.go.dev/k8s.io/client-go/tools/leaderelection#LeaderElector.Run",
        modules=(
            "sigs.k8s.io/controller-runtime/pkg/manager",
            "k8s.io/client-go/tools/leaderelection",
            "k8s.io/client-go/tools/portforward",
        ),
        makes="New RunOrDie LeaderElector.Run controllerManager.Start PortForwarder.ForwardPorts NewLeaderElector",
        runs="(*controllerManager) (*LeaderElector) (*PortForwarder)",
        holds=_DESCRIPTORS,
    ),
    row(
        "LockSessionNotEnded",
        "lock or session not given up",
        "a session is renewed, and the lock watched, by goroutines until it is unlocked or destroyed",
        fix="call Unlock (and Destroy) on every path; close the done channel given to RenewPeriodic",
        docs="https://pkg.go.dev/github.com/hashicorp/consul/api#Lock.Unlock",
        modules=("github.com/hashicorp/consul/api",),
        makes="Lock.Lock Session.RenewPeriodic Semaphore.Acquire Client.LockKey Client.LockOpts",
        runs="(*Lock).monitorLock (*Session).RenewPeriodic (*Semaphore).monitorLock",
    ),
    row(
        "GormOpenPerRequest",
        "an ORM's connection pool for every request",
        "each Open makes a pool with a goroutine and connections of its own; gorm.DB has no Close",
        fix="open it once, at start, and share it; else close what db.DB() gives",
        docs="https://pkg.go.dev/gorm.io/gorm#Open",
        modules=("gorm.io/gorm",),
        makes="Open",
        holds=frozenset({"descriptors", "connections"}),
    ),
    row(
        "RedisConnNotReturned",
        "Redis connection not given back",
        "a connection that was taken out of the pool is missing there until Close",
        fix="defer conn.Close() right after Client.Conn, on every path",
        docs="https://pkg.go.dev/github.com/redis/go-redis/v9#Conn.Close",
        modules=("github.com/redis/go-redis", "github.com/go-redis/redis", "github.com/gomodule/redigo"),
        makes="Client.Conn Pool.Get Pool.GetContext",
        holds=_DESCRIPTORS,
    ),
    row(
        "NetlinkSubscriptionNotEnded",
        "netlink subscription not ended",
        "a subscription has a socket and a goroutine until its done channel is closed",
        fix="close the done channel that was given to it when its reader ends",
        docs="https://pkg.go.dev/github.com/vishvananda/netlink#LinkSubscribe",
        modules=("github.com/vishvananda/netlink",),
        makes="LinkSubscribe LinkSubscribeWithOptions AddrSubscribe AddrSubscribeWithOptions RouteSubscribe"
        " RouteSubscribeWithOptions NeighSubscribe NeighSubscribeWithOptions",
        runs="addrSubscribeAt linkSubscribeAt routeSubscribeAt neighSubscribeAt",
        holds=_DESCRIPTORS,
    ),
)
