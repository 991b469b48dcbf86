"""The line where each leaking service obtains the leaked resource: evidence has to name it."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.cluster.paths import REPOSITORY

SERVICES = REPOSITORY / "e2e" / "services"


@dataclass(frozen=True, slots=True)
class Site:
    """The call that obtains the leaked resource. `via`: the caller to look at, where that call is in a helper."""

    file: str
    text: str
    function: str
    via: str = ""

    @property
    def line(self) -> int:
        lines = (SERVICES / self.file).read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if self.text in line)

    def is_at(self, function: str, file: str, line: int) -> bool:
        """Whether that is the place. A call that runs over several lines is recorded at one of them."""
        same_file = file.rpartition("/")[2] == self.file.rpartition("/")[2]
        return function == self.function and same_file and abs(line - self.line) <= 1


SITES = {
    "bodyleak": Site("cmd/bodyleak/main.go", "resp, err := c.client.Do(req)", "main.checker.leaking"),
    "fileleak": Site(
        "cmd/fileleak/main.go", 'file, err := os.CreateTemp("", "spool-*")', "main.newSpool", "main.(*spooler).leaking"
    ),
    "transportleak": Site(
        "internal/service/upstream.go",
        "resp, err := client.Do(req)",
        "leakwarden.dev/e2e/services/internal/service.Fetch",
        "main.caller.leaking",
    ),
    "rowsleak": Site(
        "cmd/rowsleak/main.go",
        "rows, err := o.db.QueryContext(ctx, newest)",
        "main.orders.query",
        "main.orders.leaking",
    ),
    "goroutineleak": Site("cmd/goroutineleak/main.go", "pages <- ", "main.hedger.first.func1"),
    "grpcleak": Site("cmd/grpcleak/main.go", "// the fault: never closed", "main.stock.leaking"),
    "watchleak": Site("cmd/watchleak/main.go", "// the fault: never stopped", "main.tenants.leaking"),
    "mapleak": Site("cmd/mapleak/main.go", 'bytes.Repeat([]byte("x"), a.size)', "main.(*answers).leaking"),
    "lockleak": Site("cmd/lockleak/main.go", "// the fault: not every path unlocks", "main.(*shelf).leaking"),
}

# : At Go's own rate one allocation in 512 KiB is recorded: of a few hundred open files (200 bytes each) or response
# bodies : (3 KiB) none or two. Services with the usual limits have leaked a hundred times as much when they are found.
RECORD_MORE = {"GODEBUG": "memprofilerate=2048"}
