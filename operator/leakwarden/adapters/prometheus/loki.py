"""`ports.LogStore`: lines of known errors from a Loki, by its query_range API.

The lines are selected and cut by Loki itself (LogQL's line filter and `line_format`), so that a talkative service costs
no more than its errors. Bounded in lines, bytes and time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec

from leakwarden.adapters.prometheus.bounded_get import GetFailed, bounded_get
from leakwarden.adapters.prometheus.credentials import EndpointCredentials
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.core.correlation.log_lines import LONGEST, any_known
from leakwarden.core.promql import matcher
from leakwarden.engine.ports import LogTail

log = logging.getLogger("leakwarden.loki")

PATH = "/loki/api/v1/query_range"
LINES = 5_000  # Loki's own default for the most that one query may give (max_entries_limit_per_query)
MAX_BYTES = 8 << 20  # of one answer: 5,000 lines of 400 characters, each with its stream's labels, take less
_NANO = 1_000_000_000


class _Stream(msgspec.Struct):
    values: list[list[msgspec.Raw]]  # [time in ns as text, line, and what else a later version adds]


class _Data(msgspec.Struct, rename="camel"):
    result_type: str
    result: list[_Stream]


class _Answer(msgspec.Struct):
    data: _Data


_DECODER = msgspec.json.Decoder(_Answer)
_TEXT = msgspec.json.Decoder(str)


class LokiLogs:
    """Reads the lines of one Loki. The labels of its streams are those that the endpoint names."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint
        self._credentials = EndpointCredentials(endpoint)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="loki")

    async def matching(self, namespace: str, pods: str, since: float, until: float) -> LogTail:
        """Lines between two times (epoch s) that contain a known error, each after its time, in order of time."""
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._matching, namespace, pods, since, until
            )
        except GetFailed as error:
            return LogTail(trouble=str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError, OSError):
            return LogTail(trouble="its answer is not one of Loki's query_range API")
        except Exception:
            log.exception("a defect: Loki could not be read", extra={"source": self.name})
            return LogTail(trouble="a defect of Leakwarden; see its log")

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matching(self, namespace: str, pods: str, since: float, until: float) -> LogTail:
        streams = self._streams(namespace, pods)
        within = {"start": str(int(since * _NANO)), "end": str(int(until * _NANO)), "direction": "forward"}
        found = self._ask({**within, "query": filtered(streams), "limit": str(LINES)})
        # No line of a known error is one thing, and no line at all another: the second says nothing about errors.
        if not found and not self._ask({**within, "query": streams, "limit": "1"}):
            return LogTail(trouble="it has no line of these pods in this time")
        return LogTail([f"{_iso(at)} {line}" for at, line in sorted(found)[:LINES]], more=len(found) >= LINES)

    def _streams(self, namespace: str, pods: str) -> str:
        of = self._endpoint
        own = [matcher(name, "=", value) for name, value in sorted(of.matchers.items())]
        asked = ",".join([matcher(of.namespace_label, "=", namespace), matcher(of.pod_label, "=~", pods), *own])
        return f"{{{asked}}}"

    def _ask(self, params: Mapping[str, str]) -> list[tuple[int, str]]:
        """Times in ns, and lines. Raises GetFailed, msgspec.DecodeError and ValueError."""
        answer = _DECODER.decode(bounded_get(self._endpoint, self._credentials, PATH, most=MAX_BYTES, params=params))
        if answer.data.result_type != "streams":
            raise ValueError
        return [
            (int(_TEXT.decode(value[0])), _TEXT.decode(value[1])[:LONGEST])
            for stream in answer.data.result
            for value in stream.values
            if len(value) >= 2
        ]


def filtered(streams: str) -> str:
    """A LogQL query for the lines of these streams that contain a known error, cut where they are longer than is read."""
    # Backquotes: no character of the expression needs an escape.
    return f'{streams} |~ `(?i)({any_known()})` | line_format "{{{{ __line__ | trunc {LONGEST} }}}}"'


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / _NANO, UTC).isoformat()
