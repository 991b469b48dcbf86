"""`ports.DescriptorReader`: one ephemeral container per pod, whose answer is its termination message.

The message is in the pod's status, so that no right to read logs or to enter pods is needed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, replace
from itertools import pairwise

from leakwarden.adapters.cluster import Session
from leakwarden.adapters.evidence.pods import PodUnread, fetch_pod
from leakwarden.adapters.evidence.reader_container import (
    ContainerState,
    LivePod,
    ReaderContainer,
    Unfit,
    container,
    target_of,
)
from leakwarden.api.v1alpha1.evidence_reasons import DescriptorReason
from leakwarden.core.descriptors.census import DENIED, CensusUnreadable, read
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import Cluster, DescriptorsFound, Outcome

log = logging.getLogger("leakwarden.evidence")

PAUSE = 0.5  # s between two reads of the pod's status
_WORD = re.compile(r"[A-Za-z]{1,40}", re.ASCII)


class _Missing(Exception):
    def __init__(self, reason: DescriptorReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PodDescriptors:
    """`cluster` is the fenced one, through which only a leader makes changes; `image` contains Python and this package;
    `timeout` in seconds from the container's addition to its answer."""

    session: Session
    cluster: Cluster
    image: str
    timeout: float = 30.0

    async def read(self, pod: Pod, container: str, report: str) -> DescriptorsFound:
        found = DescriptorsFound()
        try:
            async with asyncio.timeout(self.timeout + 10.0):
                live = await fetch_pod(self.session, pod, LivePod)
                found = DescriptorsFound(target_of(live, container))
                await self._add(pod, live, found.target, report)
                return await self._answer(pod, found)
        except Unfit as unfit:
            return replace(found, reason=DescriptorReason.UNFIT, message=str(unfit))
        except PodUnread as unread:
            reason = DescriptorReason.POD_GONE if unread.gone else DescriptorReason.POD_UNREAD
            return replace(found, reason=reason, message=str(unread))
        except _Missing as missing:
            return replace(found, reason=missing.reason, message=str(missing))
        except TimeoutError:
            return replace(found, reason=DescriptorReason.NO_ANSWER, message="the API server was too slow")
        except Exception:
            log.exception("descriptors could not be read", extra={"report": report})
            return replace(found, reason=DescriptorReason.DEFECT, message="a defect of Leakwarden; see its log")

    async def _add(self, pod: Pod, live: LivePod, target: str, report: str) -> None:
        """Adds the container unless an earlier process of ours, which was stopped, has added it."""
        held = live.reader()
        if held is not None:
            if _report_of(held) != report:
                raise _Missing(
                    DescriptorReason.READ_BEFORE, "the pod holds a reader of an earlier leak; it stays the only one"
                )
            return
        attempt = await self.cluster.add_ephemeral_container(pod, container(live, target, self.image, report))
        match attempt.outcome:
            case Outcome.DONE:
                return
            case Outcome.GONE:
                raise _Missing(DescriptorReason.POD_GONE, attempt.message)
            case Outcome.FORBIDDEN:
                raise _Missing(DescriptorReason.REFUSED, attempt.message)
            case _:
                raise _Missing(DescriptorReason.NOT_ADDED, attempt.message)

    async def _answer(self, pod: Pod, found: DescriptorsFound) -> DescriptorsFound:
        state = ContainerState()
        try:
            async with asyncio.timeout(self.timeout):
                while state.terminated is None:
                    await asyncio.sleep(PAUSE)
                    state = (await fetch_pod(self.session, pod, LivePod)).state()
        except TimeoutError:
            raise self._late(state) from None
        text = state.terminated.message or ""
        if not text:
            code = state.terminated.exit_code
            raise _Missing(DescriptorReason.NO_ANSWER, f"the reader ended with exit code {code} and left no answer")
        try:
            census = read(text)
        except CensusUnreadable as error:
            raise _Missing(DescriptorReason.UNREADABLE, str(error)) from None
        if isinstance(census, str):
            if census == DENIED:
                raise _Missing(
                    DescriptorReason.DENIED, f"the kernel does not let it look into container {found.target}"
                )
            raise _Missing(DescriptorReason.UNSEEN, f"it sees no process of container {found.target}")
        return replace(found, census=census)

    def _late(self, state: ContainerState) -> _Missing:
        if state.running is not None:
            return _Missing(DescriptorReason.NO_ANSWER, f"the reader did not end within {self.timeout:g}s")
        said = (state.waiting.reason if state.waiting else None) or ""
        why = f" ({said})" if _WORD.fullmatch(said) else ""
        return _Missing(DescriptorReason.NOT_STARTED, f"the reader did not start within {self.timeout:g}s{why}")


def _report_of(held: ReaderContainer) -> str:
    return next((value for name, value in pairwise(held.args or ()) if name == "--report"), "")
