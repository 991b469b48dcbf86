"""A kind of leak as one row of data: its look in a profile, the reason of the leak, and the call that is missing.

A row is found in two ways:

* by a goroutine: `matches` holds where each condition that the row names is met (`at`, `operations`, `waits`,
  `goroutines`). A row that names none of them never matches a goroutine.
* by the call that made the leaked thing: `made_by` holds for the calls in `acquires`. The heap profile shows them.

Both compare function names without their import path's version, so that one row holds for `example.com/lib`,
`example.com/lib/v2` and packages below, `internal/` ones too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from leakwarden.core.profile.ownership import enclosing, package, symbol
from leakwarden.core.profile.stacks import Group

CHANNEL_SEND = frozenset({"runtime.chansend1"})
CHANNEL_RECEIVE = frozenset({"runtime.chanrecv1", "runtime.chanrecv2"})
SELECT = frozenset({"runtime.selectgo", "runtime.block"})


@dataclass(frozen=True, slots=True)
class Shape:
    name: str  # as in LeakReports: CamelCase, and never changed
    title: str
    why: str
    fix: str
    docs: str = ""  # a link to the documentation of the library's authors
    # Import paths of the modules, or of Go's own packages, without a version.
    modules: tuple[str, ...] = ()
    # Calls of these modules that make the leaked object: `NewClient`, `Client.Subscribe`, or `.Subscribe` for any type.
    acquires: tuple[str, ...] = ()
    # Those of the calls whose objects go from one caller to the next: they do not show which caller leaks.
    shared: frozenset[str] = frozenset()
    # Parts of names of the modules' functions that only goroutines of this kind have on their stacks.
    goroutines: tuple[str, ...] = ()
    # Whole function names, one of which is on the stack.
    waits: frozenset[str] = frozenset()
    # Whole function names, one of which is the innermost call.
    at: frozenset[str] = frozenset()
    # The runtime's entries that the goroutine waits in.
    operations: frozenset[str] = frozenset()
    # Goroutines that wait like this may only suffer from another line.
    victim: bool = False
    # Signals that grow with it, other than goroutines and memory: "descriptors", "connections".
    holds: frozenset[str] = frozenset()
    # Whether the row names the object, and not only the way it waits.
    specific: bool = True
    # The name of the row of the whole thing, whose goroutines are made at the same line where all of it leaks.
    part_of: str = ""

    @property
    def library(self) -> bool:
        """Whether the row is of a library, and not of Go's own packages."""
        return bool(self.modules) and "." in self.modules[0].partition("/")[0]

    def matches(self, group: Group) -> bool:
        """Whether a goroutine is of this kind."""
        if not group.stack or not (self.at or self.operations or self.waits or self.goroutines):
            return False
        if self.at and group.stack[0].function not in self.at:
            return False
        if self.operations and group.operation not in self.operations:
            return False
        if self.waits and not any(frame.function in self.waits for frame in group.stack):
            return False
        return not self.goroutines or any(self._runs(frame.function) for frame in group.stack)

    def _runs(self, function: str) -> bool:
        rest = within(function, self.modules)
        return bool(rest) and any(part in rest for part in self.goroutines)

    def made_by(self, function: str) -> bool:
        """Whether the call makes the object that has to be closed by this row."""
        return bool(self.acquires) and called(within(function, self.modules), self.acquires)


def row(name: str, title: str, why: str, *, fix: str, docs: str, modules: tuple[str, ...], makes: str, runs: str = "",
         holds: frozenset[str] = frozenset(), victim: bool = False, waits: str = "", part_of: str = "") -> Shape:  # fmt: skip
    """`makes` and `runs`: names apart from each other by spaces."""
    return Shape(
        name,
        title,
        why,
        fix,
        docs=docs,
        modules=modules,
        acquires=tuple(makes.split()),
        goroutines=tuple((runs or waits).split()),
        holds=holds,
        victim=victim,
        part_of=part_of,
    )


@lru_cache(maxsize=65536)
def within(function: str, modules: tuple[str, ...]) -> str:
    """The rest of a function's name without its module and version: `example.com/lib/v2/sub.(*T).M` in
    `example.com/lib` -> `/sub.(*T).M`. Empty where it is in none of the modules."""
    path, (_, name) = package(function), symbol(function)
    for module in modules:
        # In Go's own library, packages below are other packages (net and net/http), except for internal ones.
        below = module + ("/" if "." in module.partition("/")[0] else "/internal")
        if path == module or path.startswith((below, module + ".v")):
            rest = path[len(module) :]
            head, slash, tail = rest[1:].partition("/")
            if head[:1] == "v" and head[1:].isdigit():
                rest = slash + tail
            return rest + name
    return ""


@lru_cache(maxsize=65536)
def called(rest: str, names: tuple[str, ...]) -> bool:
    """Whether `rest`, as `within` gives it, is one of the calls `Func`, `Type.Method` or `.Method`."""
    if not rest:
        return False
    bare = enclosing(rest.rpartition("/")[2].partition(".")[2]).replace("[...]", "").replace("(*", "").replace(")", "")
    method = "." + bare.rpartition(".")[2] if "." in bare else ""
    return bare in names or method in names
