"""Memory outside of the Go heap: no profile counts it, but calls of libraries that obtain such memory leave traces.

A wrapper of a C library, or of mapped files, allocates a small Go object for each thing, whose stack holds the team's
call. That line is told, with Low confidence: the heap shows that the calls are made, and not how much each one obtains.
"""

from __future__ import annotations

from dataclasses import replace

from leakwarden.core.profile.evidence import SHOWN, CallSite, Confidence, Suspect
from leakwarden.core.profile.growth import Capture
from leakwarden.core.profile.memory import total_in_use
from leakwarden.core.profile.origins import Origins
from leakwarden.core.profile.ownership import CodeOwner, Ownership, package
from leakwarden.core.profile.pprof import Frame
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.stacks import Stack
from leakwarden.core.profile.standard_shapes import OFF_HEAP

_CGO = "C memory"
_MAPPED = "mapped memory"
# Import paths without a version, the memory that they obtain, and what gives it back.
LIBRARIES = (
    ("github.com/mattn/go-sqlite3", _CGO, "Close rows, statements and databases"),
    ("github.com/marcboeker/go-duckdb", _CGO, "Close rows, appenders, statements and the connector; set memory_limit"),
    ("github.com/confluentinc/confluent-kafka-go", _CGO, "Close producers and consumers, and read Events() of a producer"),
    ("github.com/linxGnu/grocksdb", _CGO, "Destroy options, Close iterators, Free slices"),
    ("github.com/tecbot/gorocksdb", _CGO, "Destroy options, Close iterators, Free slices"),
    ("gocv.io/x/gocv", _CGO, "Close each Mat, net and capture (defer mat.Close())"),
    ("github.com/davidbyttow/govips", _CGO, "Close each ImageRef, and bound the cache (vips.Config)"),
    ("github.com/h2non/bimg", _CGO, "bound the cache (VipsCacheSetMax) and resize fewer images at once"),
    ("gopkg.in/gographics/imagick", _CGO, "Destroy each wand (defer mw.Destroy())"),
    ("github.com/valyala/gozstd", _CGO, "Release writers, readers and dictionaries"),
    ("github.com/DataDog/zstd", _CGO, "Close readers and writers"),
    ("github.com/pebbe/zmq", _CGO, "Close sockets and terminate contexts"),
    ("github.com/godror/godror", _CGO, "Close rows, statements and LOBs"),
    ("github.com/bytecodealliance/wasmtime-go", _CGO, "Close stores, modules and engines"),
    ("rogchap.com/v8go", _CGO, "Dispose isolates and Close contexts"),
    ("github.com/cockroachdb/pebble", "memory that it manages itself", "Close iterators, batches and snapshots; share one cache and Unref it"),
    ("github.com/dgraph-io/badger", _MAPPED, "Discard transactions, Close iterators, and Close the database"),
    ("github.com/dgraph-io/ristretto", "memory that it manages itself", "Close the cache and release its buffers"),
    ("go.etcd.io/bbolt", _MAPPED, "Close databases; a read transaction that is open keeps old pages and lets the file grow"),
    ("github.com/edsrzf/mmap-go", _MAPPED, "Unmap each mapping"),
    ("golang.org/x/exp/mmap", _MAPPED, "Close each ReaderAt"),
    ("golang.org/x/sys/unix", _MAPPED, "Munmap what Mmap gave"),
    ("syscall", _MAPPED, "Munmap what Mmap gave"),
    ("plugin", "loaded code", "load a plugin once; it cannot be unloaded"),
)  # fmt: skip
# Packages of which other calls obtain nothing outside of the heap, with those that do.
_ONLY = {"syscall": (".Mmap", "mmapper"), "golang.org/x/sys/unix": (".Mmap", "mmapper"), "plugin": (".Open", ".open")}
# Wrappers that cgo writes.
_WRAPPER = "._Cfunc_"


def outside_of_heap(
    capture: Capture, origins: Origins, ownership: Ownership, *, looked_at: str, others: bool
) -> list[Suspect]:
    """The suspects of a process that grows while its heap grows little or not at all: the team's line that makes most
    calls into libraries with memory of their own, or else none by name. `others`: whether lines are named before."""
    grew = total_in_use(capture.heaps[-1]) - total_in_use(capture.heaps[0]) if capture.heaps else 0.0
    why = (
        f"the process grows; {looked_at}",
        f"the heap explains {max(0.0, grew) / 2**20:.1f} MiB of it: where the process grew by clearly more in this time, the rest is"
        " outside of the heap"
        if others
        else "neither goroutines nor the heap grew beyond noise",
    )
    sites = origins.sites(lambda below: any(_foreign(frame, ownership) for frame in below))
    if not sites:
        return [_suspect(OFF_HEAP, why)]
    best = max(sites, key=lambda site: (site.in_use, site.allocated))
    made = next(frame for frame in best.below if _foreign(frame, ownership))
    used, kind, end = _library(made)
    shape = replace(
        OFF_HEAP,
        title=f"memory outside of the Go heap, most likely {kind} of {used}",
        why=f"{used} obtains {kind}, which no heap profile counts, and this line makes most calls of it; {OFF_HEAP.why}",
        fix=f"{end}; {OFF_HEAP.fix}",
        docs=f"https://pkg.go.dev/{used}",
    )
    return [_suspect(shape, (*why, f"{len(sites)} lines call such libraries"), CallSite.on(best.stack, 0, ownership))]


def _suspect(shape: Shape, why: tuple[str, ...], place: CallSite | None = None) -> Suspect:
    frame = place.frame if place is not None else Frame("", "", 0)
    stack: Stack = place.stack[:SHOWN] if place is not None else ()
    return Suspect(
        shape.name, shape.title, frame.function, file=frame.file, line=frame.line, count=0, unit="objects", growth_per_s=None,
        confidence=Confidence.LOW, reasons=why, why=shape.why, fix=shape.fix, stack=stack, callers=place.callers[:SHOWN] if place is not None else (),
        docs=shape.docs, team=place is not None,
    )  # fmt: skip


def _foreign(frame: Frame, ownership: Ownership) -> bool:
    """Whether a call obtains memory outside of the Go heap, by the library it belongs to."""
    if _WRAPPER in frame.function:
        return True
    path = package(frame.function)
    row = next((name for name, *_ in LIBRARIES if path == name or path.startswith((f"{name}/", f"{name}.v"))), "")
    if not row or ownership.of(frame) is CodeOwner.TEAM:
        return False
    return row not in _ONLY or any(part in frame.function for part in _ONLY[row])


def _library(frame: Frame) -> tuple[str, str, str]:
    """Its import path, its memory, and what gives that back."""
    path = package(frame.function)
    for name, kind, end in LIBRARIES:
        if path == name or path.startswith((f"{name}/", f"{name}.v")):
            return name, kind, end
    return path, _CGO, "free what C gave (C.free, or the library's own call), with defer"
