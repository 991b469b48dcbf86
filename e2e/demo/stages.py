"""The steps of the demo by name, so that a failure names the step, the cause, and where to look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.cluster.errors import ClusterError
from e2e.harness.kube import KubectlError
from e2e.harness.waiting import TimedOut

_CAUSE_LENGTH = 600


class StageFailed(Exception):
    """A failed step: its name, the cause in one line, and where to look."""

    def __init__(self, stage: str, cause: str, look_at: str) -> None:
        super().__init__(f"{stage}: {cause}")
        self.stage, self.cause, self.look_at = stage, cause, look_at


@contextmanager
def stage(name: str, look_at: str) -> Iterator[None]:
    """Raises StageFailed for every refusal of the cluster, kubectl, helm or the operating system."""
    try:
        yield
    except (ClusterError, KubectlError, TimedOut, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise StageFailed(name, one_line(str(error)), look_at) from error


def one_line(text: str) -> str:
    """Without line breaks, and of limited length; of a long text the end is kept, where programs name the failure."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _CAUSE_LENGTH else f"{flat[:200]} ... {flat[-_CAUSE_LENGTH + 205 :]}"
