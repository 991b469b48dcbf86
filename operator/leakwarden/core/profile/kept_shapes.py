"""Kinds of leaks that Go's own packages make possible and that a heap profile shows best, and the ways in which memory
is kept where no call names the thing: a map, a buffer, content that was read, a registration."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.core.profile.shapes import Shape

ITER_PULL = Shape(
    "IterPullNotStopped",
    "iter.Pull without its stop",
    "iter.Pull has a goroutine that holds the sequence until stop is called, or the sequence was read to its end",
    "call stop when the last value that is needed was taken, also where the sequence was not read to its end: defer stop() in the function"
    " that reads, or keep it in the struct that holds next, and call it from that one's Close or Stop; or range over the sequence itself",
    docs="https://pkg.go.dev/iter#Pull",
    modules=("iter",),
    acquires=("Pull", "Pull2"),
    goroutines=(".Pull",),
)
COMMAND_HANGS = Shape(
    "CommandOutputHeld",
    "Wait of a command hangs on its output",
    "Wait returns when the pipes of the command are closed; a grandchild that inherited them keeps them open after the"
    " command itself has ended",
    "set cmd.WaitDelay, so that Wait closes the pipes by itself; or give an *os.File as output, or kill the whole process"
    " group (SysProcAttr.Setpgid)",
    docs="https://pkg.go.dev/os/exec#Cmd",
    modules=("os/exec",),
    goroutines=("(*Cmd).awaitGoroutines",),
    holds=frozenset({"descriptors", "processes"}),
)
COMMAND_RUNS = Shape(
    "CommandNeverEnds",
    "a command that does not end",
    "Wait waits for the process, and nothing ends that: it has no deadline, or waits for input itself",
    "start it with exec.CommandContext and a deadline, and set cmd.WaitDelay; close its standard input",
    docs="https://pkg.go.dev/os/exec#CommandContext",
    modules=("os/exec",),
    goroutines=("(*Cmd).Wait",),
    waits=frozenset({"os.(*Process).Wait", "os.(*Process).pidfdWait", "os.(*Process).wait"}),
    holds=frozenset({"descriptors", "processes"}),
)
SIGNAL_NOTIFY = Shape(
    "SignalNotifyNotStopped",
    "signal.Notify without signal.Stop",
    "os/signal keeps a channel that was registered, and never closes it: the goroutine that reads it never ends",
    "defer signal.Stop(c), and end the goroutine that reads c with a context; register once, at start",
    docs="https://pkg.go.dev/os/signal#Stop",
    modules=("os/signal",),
    acquires=("Notify",),
)
CONTEXT_CHAIN = Shape(
    "ContextChain",
    "a context that is made of the one before, again and again",
    "context.WithValue gives a child that keeps its parent: where a loop, or a long-lived struct, stores the result in place"
    " of the parent, the chain and all its values grow for ever",
    "derive a new variable from the outer context for each turn (turnCtx := context.WithValue(ctx, ...)) and never assign it"
    " back to ctx; keep no request's context in a struct",
    docs="https://pkg.go.dev/context#WithValue",
    modules=("context",),
    acquires=("WithValue", "WithoutCancel"),
)
CONTEXT_STORED = replace(
    CONTEXT_CHAIN,
    name="ContextStored",
    modules=(),
    acquires=(),
    title="contexts of requests, with their values, that are kept",
    why="a context keeps its parent and all values: it is stored in something that lives longer (a struct, a queue, a closure, a goroutine"
    " that does not end), is a child of a long-lived context and never cancelled, or is stored back in place of its parent, so that a chain"
    " grows",
    specific=False,
    fix="keep no request's context: copy the values that are needed into what is stored or queued; call the cancel function of each context"
    " that is derived from a long-lived one (defer cancel()); derive a new variable from the outer context for each turn and never assign it"
    " back to a shared one",
)
FINALIZER = Shape(
    "FinalizerBlocked",
    "a finalizer or cleanup that waits",
    "one goroutine runs all finalizers, one after the other: while one of them waits, no later one runs, and every object that"
    " has one stays",
    "never wait in a finalizer: start a goroutine there, or send with select and default; better free explicitly with Close",
    docs="https://pkg.go.dev/runtime#SetFinalizer",
    specific=False,
)
MAP = Shape(
    "MapGrows",
    "a map that only grows",
    "entries are put into a map here, and nothing deletes them",
    "delete entries that are done, on every path; evict those that were idle (a sweep by time of last use), or use a cache"
    " with a bound and a TTL",
    docs="https://go.dev/doc/diagnostics",
    specific=False,
)
SYNC_MAP = Shape(
    "SyncMapGrows",
    "a sync.Map that only grows",
    MAP.why,
    "Delete entries that are done, on every path (or LoadAndDelete, CompareAndDelete); evict those that were idle",
    docs="https://pkg.go.dev/sync#Map.Delete",
    modules=("sync",),
    acquires=("Map.Store", "Map.LoadOrStore", "Map.Swap", "Map.CompareAndSwap"),
    specific=False,
)
LIST = Shape(
    "ListGrows",
    "a list that only grows",
    "elements are put into a list here, and nothing removes them",
    "Remove elements that are done, on every path, or bound the list by its Len",
    docs="https://pkg.go.dev/container/list#List.Remove",
    modules=("container/list", "container/ring"),
    acquires=("List.PushBack", "List.PushFront", "List.InsertBefore", "List.InsertAfter", "New"),
    specific=False,
)
BUFFER = Shape(
    "BufferGrows",
    "one slice or buffer that only grows",
    "most of what is kept here is a single array: a slice that is appended to, or a buffer that is written to and never reset",
    "bound it: drop or write out what is done, Reset the buffer, begin a new slice for each run; do not append to a shared"
    " value for each call",
    docs="https://go.dev/blog/slices-intro",
    specific=False,
)
CONTENT = Shape(
    "ContentKept",
    "content that is read here and kept whole",
    "what was read stays reachable: stored as it is, or by a small part of it, since a sub-slice or substring keeps the whole"
    " array",
    "copy what is needed (bytes.Clone, strings.Clone), so that the large array is let go; bound what stores it, and delete"
    " what is done",
    docs="https://go.dev/blog/slices-intro",
    specific=False,
)
ENTRIES = Shape(
    "EntriesNeverRemoved",
    "entries that are kept and never removed",
    "each call keeps an object here: most likely an entry of a map, cache, list or registry that nothing removes, else what a timer, a"
    " callback or a closure refers to",
    "find what it is stored in: delete it there when it is done, sweep what is idle or past its time (a TTL that is only checked when the"
    " same key is read again frees nothing), or bound it (an LRU, a maximum of entries; for a key that is there already replace its element"
    " in place of adding another); Stop a timer and unregister a callback that refers to it",
    docs="https://go.dev/doc/diagnostics",
    specific=False,
)
CONNECTION_STATE = Shape(
    "ConnStateEntriesKept",
    "entries of connections that a ConnState hook keeps",
    "what the hook keeps for a new connection has to go when the connection ends: StateClosed, and StateHijacked for one that was taken"
    " over (a WebSocket), after which StateClosed never comes",
    "delete the entry in StateClosed and in StateHijacked; for a hijacked connection also when its owner closes it",
    docs="https://pkg.go.dev/net/http#ConnState",
    specific=False,
)
HANDLER_ENTRIES = Shape(
    "HandlerEntriesKept",
    "entries that an informer's event handler keeps",
    "what the handler keeps for an object has to go when the object is deleted",
    "delete the entry in OnDelete, also for a cache.DeletedFinalStateUnknown; key it by namespace and name, not by resource version",
    docs="https://pkg.go.dev/k8s.io/client-go/tools/cache#ResourceEventHandlerFuncs",
    specific=False,
)
STATS_ENTRIES = Shape(
    "StatsHandlerEntriesKept",
    "entries of calls or connections that a gRPC stats handler keeps",
    "what TagRPC or TagConn keeps has to go with stats.End, or with stats.ConnEnd",
    "delete the entry in HandleRPC at *stats.End, in HandleConn at *stats.ConnEnd; keep values in the context instead of a map",
    docs="https://pkg.go.dev/google.golang.org/grpc/stats#Handler",
    specific=False,
)
REQUESTS = Shape(
    "RequestsKept",
    "requests that are kept after their answer, or more that are open",
    "what net/http makes for a request stays: the request is still open, or something refers to it, its Header, Body or Context",
    "look for a map keyed by *http.Request (gorilla/context needs ClearHandler), for requests or their contexts stored in a struct, and for"
    " closures and goroutines that outlive the request; copy what they need",
    docs="https://pkg.go.dev/net/http#Request",
    modules=("net/http",),
    acquires=("Request.WithContext", "Request.Clone"),
    specific=False,
)
POOLED = Shape(
    "PoolObjectsKept",
    "objects of a sync.Pool that are kept",
    "an object that was taken from the pool and is referred to elsewhere is neither put back nor let go, and the pool makes another",
    "Put it back on every path (defer it right after Get), keep no part of it, and copy what has to stay; do not Put buffers that have"
    " grown large",
    docs="https://pkg.go.dev/sync#Pool",
    specific=False,
)
REGISTERED = Shape(
    "RegistrationKept",
    "what is registered here is never taken out",
    "each call adds an entry to a registry, hub or table, and no call takes it out again",
    "take it out on every path, with defer",
    docs="https://go.dev/doc/diagnostics",
    specific=False,
)
_STANDARD = (
    # (name, title, why, fix, docs, modules, calls)
    ("CompiledPerCall", "regular expressions compiled for every call and kept",
     "a compiled pattern is large and stays where it is stored: a cache by pattern, or a struct for each call",
     "compile once, in a package variable or at start; bound a cache that is filled by users' patterns (an LRU), and keep what is ever new"
     " (an identifier, a name) out of the pattern",
     "https://pkg.go.dev/regexp#MustCompile", ("regexp", "regexp/syntax"), "Compile MustCompile CompilePOSIX"),
    ("TemplatesAdded", "templates that are parsed for every call and kept",
     "New, Parse and AddParseTree add a template to the set of the one that they are called on, which keeps every name; else the parsed"
     " template is stored, in a cache or a struct",
     "parse once, at start; for a template of one call make it with template.New, or on a Clone of the shared set, and let it go; bound a cache"
     " of templates by its number of entries", "https://pkg.go.dev/text/template#Template.Clone", ("text/template", "html/template"),
     "Template.New Template.Parse Template.AddParseTree Template.Clone Template.ParseFS"),
    ("HandlerAddedPerCall", "handlers registered over and over",
     "a mux or server keeps every handler and hook it was given, for ever",
     "register at start; serve what changes from one handler that looks it up",
     "https://pkg.go.dev/net/http#ServeMux", ("net/http",),
     "ServeMux.Handle ServeMux.HandleFunc Handle HandleFunc Server.RegisterOnShutdown ServeMux.register ServeMux.registerErr"),
    ("ExpvarKeysGrow", "expvar keys that are ever new", "a Map of expvar keeps every key that it was ever given",
     "use a bounded set of keys; Delete those that are gone", "https://pkg.go.dev/expvar#Map.Delete", ("expvar",),
     "Map.Add Map.AddFloat Map.Set Publish NewInt NewFloat NewMap NewString"),
    ("CookieJarGrows", "a cookie jar that only grows", "a jar keeps the cookies of every host and path until they expire",
     "use a jar for each session, and drop it with the session", "https://pkg.go.dev/net/http/cookiejar", ("net/http/cookiejar",),
     "Jar.SetCookies Jar.setCookies"),
    ("CertPoolGrows", "certificates added over and over", "a CertPool keeps every certificate it was given",
     "make the pool once at start; for one connection work on a Clone", "https://pkg.go.dev/crypto/x509#CertPool.Clone",
     ("crypto/x509",), "CertPool.AddCert CertPool.AppendCertsFromPEM"),
    ("TypesMadeAtRunTime", "types made at run time", "package reflect keeps every type that it made, for the life of the process",
     "make a type once for each shape of data, and keep it", "https://pkg.go.dev/reflect#StructOf", ("reflect",),
     "StructOf FuncOf ArrayOf SliceOf MapOf ChanOf"),
    ("SlogContextGrows", "a logger that is made of the one before, again and again",
     "each With adds its fields to those of the logger it is called on; where a shared logger is replaced by the result it grows"
     " for ever", "derive a logger for each request and do not store it back", "https://pkg.go.dev/log/slog#Logger.With", ("log/slog",),
     "Logger.With Logger.WithGroup"),
    ("JoinedErrors", "errors that are joined and never let go", "an error that is joined with the one before keeps all earlier ones",
     "collect errors in a variable of one run; report them and begin with nil again", "https://pkg.go.dev/errors#Join", ("errors",),
     "Join"),
    ("UploadNotRemoved", "uploaded form not removed", "a parsed form keeps its parts in memory and in temporary files until RemoveAll",
     "defer r.MultipartForm.RemoveAll() after parsing, and do not keep the request", "https://pkg.go.dev/mime/multipart#Form.RemoveAll",
     ("mime/multipart",), "Reader.ReadForm Reader.readForm"),
    ("WriterChain", "readers or writers wrapped again and again", "each wraps the one before, and keeps it",
     "wrap the original for each use, and do not store the result back", "https://pkg.go.dev/io#MultiWriter", ("io",),
     "MultiWriter MultiReader TeeReader LimitReader"),
    ("HeaderGrows", "a shared header or set of values that is added to", "Add appends, and the map is shared by all calls",
     "Set instead of Add, on a Clone for each call", "https://pkg.go.dev/net/http#Header.Clone", ("net/http", "net/textproto", "net/url"),
     "Header.Add MIMEHeader.Add Values.Add"),
)  # fmt: skip
BY_CALL = tuple(
    Shape(name, title, why, fix, docs=docs, modules=modules, acquires=tuple(calls.split()), specific=False)
    for name, title, why, fix, docs, modules, calls in _STANDARD
)
# Kinds by Go's own call that keeps the memory.
KEPT_BY_CALL = (SIGNAL_NOTIFY, CONTEXT_CHAIN, SYNC_MAP, LIST, REQUESTS, *BY_CALL)
# Kinds by the way memory is kept.
KEPT_BY_WAY = (
    CONTEXT_STORED, MAP, BUFFER, CONTENT, REGISTERED, FINALIZER, ENTRIES, CONNECTION_STATE, HANDLER_ENTRIES, STATS_ENTRIES, POOLED,
)  # fmt: skip
