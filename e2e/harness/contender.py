"""One contender for leadership as a process of its own: `python -m e2e.harness.contender NAMESPACE NAME`.

Whether it leads or not, it tries to change the Deployment `mark` ten times a second, so that only the fence prevents
the change. Events are printed line by line: the machine's monotonic seconds, a word, and its details. Ends with 0 after
SIGTERM. After losing the lead it goes on trying for five seconds and ends with 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time

from leakwarden.adapters.cluster import ApiCluster, Session
from leakwarden.adapters.cluster.fence import FencedCluster
from leakwarden.adapters.cluster.lease import LeaseElection, identity_of
from leakwarden.core.model.workload import Workload
from leakwarden.engine.ports import ClusterUnavailable, Outcome

LEASE = "leakwarden"
MARK = "mark"
GOES_ON = 5.0


def tell(word: str, *details: object) -> None:
    print(f"{time.monotonic():.3f}", word, *details, flush=True)


async def try_always(session: Session, cluster: FencedCluster, namespace: str, name: str) -> None:
    """Reads and writes of the same fields follow each other, so a write after a sleep has an old version."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{MARK}"
    number = 0
    while True:
        await asyncio.sleep(0.1)
        try:
            found = json.loads((await session.ask("GET", path)).body)
        except ClusterUnavailable as error:
            tell("unread", error)
            continue
        number += 1
        began = time.monotonic()
        workload = _workload(namespace, found["metadata"]["uid"], found["metadata"]["resourceVersion"])
        attempt = await cluster.restart_rollout(workload, f"{name}-{number}")
        tell("done" if attempt.outcome is Outcome.DONE else "refused", number, f"{began:.3f}", attempt.message)


def _workload(namespace: str, uid: str, version: str) -> Workload:
    """The fields of the Deployment that a change needs: its name, and the version that is its precondition."""
    return Workload(
        namespace=namespace, name=MARK, uid=uid, resource_version=version, created=0.0, labels={}, annotations={},
        generation=1, observed_generation=1, replicas=0, updated_replicas=0, ready_replicas=0, unavailable_replicas=0,
        paused=True, strategy="Recreate", max_unavailable=None, max_surge=None, min_ready_seconds=0,
        progress_deadline=600, termination_grace=30, containers=(),
    )  # fmt: skip


async def contend(namespace: str, name: str) -> int:
    async with contextlib.AsyncExitStack() as stack:
        session = await Session.open()
        stack.push_async_callback(session.close)
        election = LeaseElection(session, namespace, LEASE, identity_of(name))
        cluster = FencedCluster(ApiCluster(session, []), election.fence)
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        electing = asyncio.create_task(election.run())
        trying = asyncio.create_task(try_always(session, cluster, namespace, name))
        asked = asyncio.create_task(stopping.wait())
        leading = asyncio.create_task(election.leading.wait())
        leading.add_done_callback(lambda task: None if task.cancelled() else tell("leading", election.identity))
        tell("begins", election.identity)
        await asyncio.wait({electing, asked}, return_when=asyncio.FIRST_COMPLETED)
        if electing.done():
            tell("lost", electing.result())
            await asyncio.sleep(GOES_ON)
        else:
            tell("asked")
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        election.resign()
        await electing
        for task in (asked, leading):
            task.cancel()
        tell("ends")
        return 0 if stopping.is_set() else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(contend(*sys.argv[1:3])))
