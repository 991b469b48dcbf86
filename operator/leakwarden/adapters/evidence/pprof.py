"""Takes Go profiles from a pod: goroutines and heap twice with a pause, and the runtime's own list of leaked goroutines.

The pod is faulty: it may refuse, hang, send garbage or send without end. Each of these costs at most the time limit,
and is returned as a value with a reason.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from leakwarden.adapters.evidence.ways import CHUNK, NoAnswer, Target, Way, cause_of, refused, refused_by
from leakwarden.api.v1alpha1.evidence_reasons import EvidenceReason
from leakwarden.core.profile.pprof import DecodeLimits, Profile, ProfileError, decode
from leakwarden.core.profile.suspects import Capture
from leakwarden.engine.ports import ClusterUnavailable

TIMEOUT = 15.0  # s for one profile; one of 100,000 goroutines takes under one
BUDGET = 60.0  # s for all of them, the pause included
# s between the two captures: one goroutine a second, which fills a limit of 10,000 in three hours, is then ten more,
# the fewest that count. Nothing is done to the pod meanwhile.
PAUSE = 10.0
# More goroutines than this are not profiled: collecting them costs the service memory and a pause in proportion. (In
# the form debug=2, which is never requested, 15,000 stopped a service for 9.5 s: cockroachdb/cockroach#14602.)
MAX_GOROUTINES = 50_000
LIMITS = DecodeLimits()
# The name of the values of each kind.
_COLUMNS = {"goroutine": "goroutine", "heap": "inuse_space", "goroutineleak": "goroutineleak"}
MOMENTS = 9  # captures of one pod at most: their names end in one digit
INDEX = 256 * 1024  # bytes of the index page; Go's own has 2 KB
# The row of Go's index page that counts goroutines (net/http/pprof, indexTmplExecute), which costs nothing to make.
_COUNT = re.compile(rb"<td>([0-9]{1,9})</td><td><a href=['\"]?goroutine\?debug=")


@dataclass(frozen=True, slots=True)
class Missed:
    profile: str  # the name it would have had; empty: none was requested
    reason: EvidenceReason
    message: str  # one line for people; never contains text that the pod sent


@dataclass(frozen=True, slots=True)
class Taken:
    """The profiles of a pod. `raw` are the unchanged files, by file name, for `go tool pprof`."""

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    raw: Mapping[str, bytes] = field(default_factory=dict)
    missed: tuple[Missed, ...] = ()
    seconds: float = 0.0  # between the first and the last goroutine profile

    def capture(self) -> Capture:
        """For `core.profile.suspects`."""
        return Capture(
            self.of("goroutine"),
            self.of("heap"),
            self.profiles.get("goroutineleak"),
            self.seconds,
        )

    def of(self, kind: str) -> list[Profile]:
        """The profiles of a kind, oldest first."""
        return [self.profiles[name] for name in (f"{kind}-{n}" for n in range(1, MOMENTS + 1)) if name in self.profiles]


# A failure that another way to the same pod may avoid.
_NO_WAY = frozenset({EvidenceReason.CLOSED, EvidenceReason.UNREACHABLE, EvidenceReason.TIMEOUT})


class PprofClient:
    """Captures one pod at a time. `ways` are tried in order: a later one only where an earlier one finds no way in."""

    def __init__(
        self,
        *ways: Way,
        timeout: float = TIMEOUT,
        budget: float = BUDGET,
        pause: float = PAUSE,
        max_goroutines: int = MAX_GOROUTINES,
        limits: DecodeLimits = LIMITS,
        moments: int = 2,
    ) -> None:
        self._ways = ways
        self._timeout = timeout
        self._budget = budget
        self._pause = pause
        self._max_goroutines = max_goroutines
        self._limits = limits
        self._moments = max(1, min(moments, MOMENTS))
        self._one = asyncio.Lock()

    async def capture(self, target: Target, goroutines: float | None, moments: int | None = None) -> Taken:
        """Take the pod's profiles, `moments` times with a pause between; `goroutines` is their number by its metrics.
        Never raises for failures of pods.

        Where no metric has the number, the pod's own index page is read; where that has none either, or the number is
        too large, only the heap is profiled.
        """
        if reason := refused(target):
            return Taken(missed=(Missed("", EvidenceReason.ADDRESS, reason),))
        async with self._one:
            taken = Taken()
            for way in self._ways:
                taken = await _Attempt(self, way, target, moments or self._moments).run(goroutines)
                if taken.raw or not taken.missed or taken.missed[0].reason not in _NO_WAY:
                    break
            return taken


class _Attempt:
    """One capture over one way."""

    def __init__(self, client: PprofClient, way: Way, target: Target, moments: int) -> None:
        self._client = client
        self._moments = moments
        self._way = way
        self._target = target
        self._ends = time.monotonic() + client._budget
        self._profiles: dict[str, Profile] = {}
        self._raw: dict[str, bytes] = {}
        self._missed: list[Missed] = []

    async def run(self, goroutines: float | None) -> Taken:
        known = goroutines is not None and goroutines == goroutines
        count = goroutines if known else await self._counted()
        seconds = 0.0
        if not self._missed:
            if count is None:
                self._miss("goroutine", EvidenceReason.UNKNOWN, "how many goroutines there are is not known")
            elif count > self._client._max_goroutines:
                message = (
                    f"{count:.0f} goroutines, more than {self._client._max_goroutines}; only the heap was profiled"
                )
                self._miss("goroutine", EvidenceReason.GOROUTINES, message)
            seconds = await (self._heap_only() if self._missed else self._everything())
        return Taken(self._profiles, self._raw, tuple(self._missed), seconds)

    async def _everything(self) -> float:
        """Returns the seconds between the first and the last capture."""
        first, seconds = 0.0, 0.0
        for moment in range(1, self._moments + 1):
            if moment > 1:
                await asyncio.sleep(self._client._pause)
            going = await self._take(f"goroutine-{moment}", "goroutine")
            first = first or time.monotonic()
            if moment > 1:
                seconds = time.monotonic() - first
            # A collection first, so that the heap's numbers are of this moment and comparable with the next.
            if not going or not await self._take(f"heap-{moment}", "heap?gc=1") or not self._profiles:
                return seconds
        if self._moments > 1:
            await self._take("goroutineleak", "goroutineleak")
        return seconds

    async def _heap_only(self) -> float:
        first, seconds = 0.0, 0.0
        for moment in range(1, self._moments + 1):
            if moment > 1:
                await asyncio.sleep(self._client._pause)
            if not await self._take(f"heap-{moment}", "heap?gc=1") or not self._profiles:
                return seconds
            first = first or time.monotonic()
            seconds = time.monotonic() - first if moment > 1 else 0.0
        return seconds

    def _miss(self, name: str, reason: EvidenceReason, message: str) -> None:
        self._missed.append(Missed(name, reason, message))

    async def _counted(self) -> float | None:
        """The number of goroutines by the pod's index page; None where the page does not have it."""
        try:
            async with asyncio.timeout(self._left()):
                page = await self._get("", INDEX)
        except TimeoutError:
            self._miss("index", EvidenceReason.TIMEOUT, f"no answer within {self._client._timeout:g}s")
        except NoAnswer as error:
            if error.reason not in (EvidenceReason.ABSENT, EvidenceReason.LARGE, EvidenceReason.REDIRECT):
                self._miss("index", error.reason, str(error))
        except (aiohttp.ClientError, ClusterUnavailable, OSError, ValueError) as error:
            self._miss("index", *cause_of(error))
        else:
            found = _COUNT.search(page)
            return float(found[1]) if found else None
        return None

    async def _take(self, name: str, what: str) -> bool:
        """Whether further requests to this pod make sense."""
        try:
            async with asyncio.timeout(self._left()):
                data = await self._get(what, self._client._limits.compressed)
                profile = await asyncio.to_thread(decode, data, self._client._limits)
            if profile.column(_COLUMNS[name.partition("-")[0]]) is None:
                raise ProfileError("it is one of another kind")
            self._profiles[name] = profile
            self._raw[f"{name}.pb.gz"] = data
        except ProfileError as error:
            self._miss(name, EvidenceReason.UNREADABLE, f"not a profile: {error}")
        except NoAnswer as error:
            self._miss(name, error.reason, str(error))
            return error.reason in (EvidenceReason.ABSENT, EvidenceReason.LARGE, EvidenceReason.UNREADABLE)
        except TimeoutError:
            self._miss(name, EvidenceReason.TIMEOUT, f"no profile within {self._client._timeout:g}s")
            return False
        except (aiohttp.ClientError, ClusterUnavailable, OSError, ValueError) as error:
            self._miss(name, *cause_of(error))
            return False
        return True

    def _left(self) -> float:
        # Where the time for all profiles is over, it is over for the next one too.
        return min(self._client._timeout, max(0.0, self._ends - time.monotonic()))

    async def _get(self, what: str, most: int) -> bytes:
        async with self._way.get(self._target, what) as response:
            if response.status != 200:
                response.close()  # rather than read a body of unknown length
                raise refused_by(response.status)
            body = bytearray()
            async for chunk in response.content.iter_chunked(CHUNK):
                body += chunk
                if len(body) > most:
                    response.close()
                    raise NoAnswer(EvidenceReason.LARGE, f"larger than {most} bytes")
            return bytes(body)
