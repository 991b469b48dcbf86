"""The kopf edge: a routing table. It keeps the set of policies current and wakes the engine, nothing else.

Only this module uses kopf. kopf lists and watches the policies, resumes a broken watch, and calls one handler per
event.

Why no more of it is used:

- `on.event` alone leaves nothing on the user's object, neither annotations nor finalizers, so that a policy can be
  deleted whether or not the operator runs.
- Whether a pod leaks depends on many objects and on Prometheus at one moment. That is the tick's work (engine/tick.py):
  a timer or a daemon for each policy would send each query once per policy.
- Deployments and pods are many. kopf's index of 10,000 Deployments was not complete after 177 s of CPU (measured on
  1.45); adapters/cluster reads the same in half a second.
- kopf's peering is not a leader election; that is adapters/cluster/lease.py. Its Events have no aggregation; that is
  adapters/events.py.

kopf runs in a thread and an event loop of its own: when it stops, it cancels every task of its loop that did not
exist at its start, and it must not cancel an action between intent and outcome.

It also ends at the first list or watch that is refused (403, seen on 1.45 when the right was taken away). It is then
started again here, after a wait: a process that ended for that reason would be restarted into the same refusal, again
and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import kopf

from leakwarden.api import names
from leakwarden.core.model.policy import Policy, parse_policy
from leakwarden.engine.policy_store import PolicyStore

log = logging.getLogger("leakwarden.handlers")

BACKOFF = 1.0  # s before kopf is started again; doubled with every failure in a row
BACKOFF_MAX = 30.0  # s
_WELL_AFTER = 60.0  # s without a failure after which the count of failures starts at one again


def register(registry: kopf.OperatorRegistry, put: Callable[[Any], None], remove: Callable[[str], None]) -> None:
    """Route the policy's events to `put` and `remove`."""

    @kopf.on.event(names.GROUP, names.VERSION, names.POLICY_PLURAL, registry=registry, id="policy")
    async def policy(*, event: kopf.RawEvent, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            remove(body["metadata"]["uid"])
        else:
            # In a thread: reading a policy takes as long as parsing its queries, and the watch goes on meanwhile.
            await asyncio.to_thread(put, body)

    @kopf.on.login(registry=registry, id="login")
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def operator_settings() -> kopf.OperatorSettings:
    """The settings by which kopf does only its part here."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # no CRD or namespace watching: rights that we do not request
    settings.posting.enabled = False  # Events are our recorder's
    settings.watching.chunk_size = 500
    # Seconds. kopf's own limit is a minute, in which nothing would be reported; we start it again for as long as
    # needed.
    settings.networking.error_backoffs = (1, 2)
    settings.peering.standalone = True
    return settings


class PolicyWatch:
    """Runs kopf in a thread; hands every change to `policies` in the loop that started it. `reads` makes a policy of
    the API server's object, outside of that loop; it never raises."""

    def __init__(
        self,
        policies: PolicyStore,
        wake: Callable[[], None],
        namespaces: Sequence[str] | None,
        backoff: float = BACKOFF,
        reads: Callable[[Any], Policy] = parse_policy,
    ) -> None:
        self._reads = reads
        self._backoff = backoff
        self._policies = policies
        self._wake = wake
        self._namespaces = namespaces
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None  # kopf's, while it runs
        self._thread = threading.Thread(target=self._watch, name="kopf", daemon=True)
        self.ended = asyncio.Event()
        self.failure = ""  # class of the exception that ended it; not set by `stop`
        self.trouble = ""  # why the policies cannot be followed now, in one line for people; or empty

    def start(self) -> None:
        self._thread.start()

    async def stop(self, grace: float = 10.0) -> None:
        self._stop.set()
        if self._running is not None:
            loop, flag = self._running
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                loop.call_soon_threadsafe(flag.set)
        await asyncio.to_thread(self._thread.join, grace)

    def _watch(self) -> None:
        failures = 0
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    asyncio.run(self._operate())
                    cause = "it ended by itself"
                except Exception as error:
                    cause = why(error)
                if self._stop.is_set():
                    return
                failures = 1 if time.monotonic() - began > _WELL_AFTER else failures + 1
                self._tell(cause)
                self._stop.wait(min(self._backoff * 2.0 ** (failures - 1), BACKOFF_MAX) * random.uniform(0.8, 1.2))  # noqa: S311
        except BaseException as error:  # the process must learn of every end
            self.failure = type(error).__name__
        finally:
            self._call(self.ended.set)

    def _tell(self, cause: str) -> None:
        # Logged once per cause, not once per retry.
        if cause != self.trouble:
            log.warning("cannot follow the policies; those known stay in force", extra={"cause": cause})
        self.trouble = cause

    async def _operate(self) -> None:
        # A flag of its own loop: for a threading.Event kopf waits in a thread, which outlives whatever ends kopf, and
        # asyncio.run would wait for that thread for ever.
        flag = asyncio.Event()
        self._running = asyncio.get_running_loop(), flag
        if self._stop.is_set():
            return
        registry = kopf.OperatorRegistry()
        register(registry, self._put, lambda uid: self._call(self._policies.remove, uid))
        await kopf.operator(
            registry=registry,
            settings=operator_settings(),
            standalone=True,
            clusterwide=self._namespaces is None,
            namespaces=self._namespaces or (),
            stop_flag=flag,
        )

    def _put(self, body: Any) -> None:
        if self.trouble:
            log.info("following the policies again")
        self.trouble = ""
        policy = self._reads(body)

        def take() -> None:
            if self._policies.take(policy):
                self._wake()

        self._call(take)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        """In the engine's loop, which may be gone already when the process ends."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)


def why(error: Exception) -> str:
    """One line for people; of the API server's own words only the name of the missing right is used."""
    code = getattr(error, "code", None) or getattr(error, "status", None)
    if code == 403:
        return f"the operator's account may not list or watch {names.POLICY_PLURAL}.{names.GROUP} (403)"
    return f"{type(error).__name__}{f' ({code})' if isinstance(code, int) else ''}"
