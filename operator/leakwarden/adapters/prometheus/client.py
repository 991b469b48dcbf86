"""Readings from Prometheus, through prometheus-api-client: one query per signal for all pods.

Only this module uses prometheus-api-client. The library's part: it has the endpoints of the query API, puts a query's
parameters together, and takes the result out of the answer.

Why no more of it is used:

- Left to itself it has no deadline and no bound on size, follows redirects, retries, takes proxies and credentials from
  the environment, and puts the server's own words into its errors, from where they would reach status and logs. It
  accepts a session, so `_Session` replaces all of this: a deadline, a cap in bytes, no redirect, and errors that hold
  a class and a status code.
- It decodes an answer into dicts and its metric classes into pandas frames. Two hours of 10,000 pods are some 20 MB of
  JSON; decoded into arrays (decoding.py) they cost a fraction of the time and memory. `_Reply` is the part of a
  response that the library reads, and carries the arrays through it.
- It does not recognise a partial answer (`warnings` of a store that is away). A part must not look like the whole here,
  so `decode` refuses it.
"""

from __future__ import annotations

import asyncio
import http.cookiejar
import logging
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.retry import Retry

from leakwarden import __version__
from leakwarden.adapters.prometheus.credentials import CredentialsUnreadable, EndpointCredentials
from leakwarden.adapters.prometheus.decoding import (
    BadResponse,
    PartialResponse,
    SentSeries,
    decode,
    error_type,
    label_set,
)
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.adapters.prometheus.origins import Origins, Scope
from leakwarden.adapters.prometheus.parts import Parted, smaller, together
from leakwarden.adapters.prometheus.response import Choices, join
from leakwarden.core.model.readings import Answer, LimitBlock, Query, QueryFailed, Sampled, SeriesBlock, limits_beside
from leakwarden.core.promql import literal_regex, matcher, narrowed
from leakwarden.core.signals.catalogue import Labels, Row, render, row_of
from leakwarden.engine.fair_shares import in_turn
from leakwarden.engine.ports import QuestionFailed

log = logging.getLogger("leakwarden.prometheus")

MAX_BYTES = 64 << 20  # of one answer, unpacked; two hours of 10,000 pods at one minute are 23 MB
WORKERS = 4  # queries at once; more would only queue in a small Prometheus, which has as many cores
LIMIT_AGE = 300.0  # s; a limit changes with a deployment, and one missed scrape must not lose it
NARROWED = 4096  # queries that are kept with the endpoint's own matchers
MAX_NAMESPACES = 100  # in a matcher; with more, all are read and ours are selected here
MAX_POINTS = 11_000  # Prometheus refuses a range of more
_LONGEST_URL = 4096  # characters; longer queries travel in the body of a POST, which proxies may forbid
_CHUNK = 1 << 16
_ERROR_BODY = 1 << 16
INSTANTS = 8  # instant queries at once, in threads of their own: those that hang must not hold up readings
# Thanos and VictoriaMetrics answer with a part where stores are away, unless they are asked for all or nothing. Others
# ignore these parameters, as Prometheus ignores all unknown ones.
ALL_OR_NOTHING = {"partial_response": "false", "deny_partial_response": "1"}
APART_FOR = 3600.0  # s for which namespaces stay parted after an answer for all of them together was too much
CHOICES_KEPT = 3600.0  # s after the last use of a query
SLOW_FOR = 300.0  # s for which the queries of a namespace come last, after one of them was too slow
TOO_MUCH = frozenset({"TooLarge", "Timeout", "ExecutionFailed"})


class ReadFailed(Exception):
    """A request that gave no answer: a CamelCase reason and one line without any text of the server."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class _Reply:
    """The part of a response that the library reads."""

    status_code = 200

    def __init__(self, series: SentSeries) -> None:
        self._series = series

    def json(self) -> dict[str, Any]:
        return {"data": {"result": self._series}}


class _Session(requests.Session):
    """Every request with fresh credentials, a deadline and a size cap; no redirects, cookies, proxies or netrc."""

    def __init__(self, endpoint: Endpoint, max_bytes: int) -> None:
        super().__init__()
        self.trust_env = False  # a netrc or proxy of the environment would see or replace the credentials
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self._endpoint = endpoint
        self._credentials = EndpointCredentials(endpoint)
        self._max_bytes = max_bytes

    def request(self, **asked: Any) -> _Reply:  # type: ignore[override]
        """Called by the library: `url` and `params` are used, all else is set here. Raises ReadFailed, and requests'
        errors."""
        url, params = asked["url"], asked["params"]
        before = self._credentials.authorization()
        status, body = self._send(url, params, before)
        if status == 401:
            # If the token was rotated at this very moment: once more, where the file has a new one now.
            self._credentials.forget()
            renewed = self._credentials.authorization()
            if renewed != before:
                status, body = self._send(url, params, renewed)
        if status != 200:
            raise _refusal(status, body)
        try:
            return _Reply(decode(body))
        except BadResponse:
            raise ReadFailed("BadResponse", "its answer is not one of the Prometheus query API") from None
        except PartialResponse:
            raise ReadFailed("PartialResponse", "it answered with a part only: some of its stores are away") from None

    def _send(self, url: str, params: Mapping[str, Any], authorization: str | None) -> tuple[int, bytes | bytearray]:
        verify, certificate = self._credentials.tls()
        if self._credentials.tls_changed():
            self.close()  # open connections were made with the old files
        headers = {**self._endpoint.headers, "User-Agent": f"leakwarden/{__version__}"}
        if authorization is not None:
            headers["Authorization"] = authorization
        short = len(str(params["query"])) <= _LONGEST_URL
        timeout = self._endpoint.timeout
        deadline = time.monotonic() + timeout
        with super().request(
            "GET" if short else "POST",
            url,
            params=params if short else None,
            data=None if short else params,
            headers=headers,
            verify=verify,
            cert=certificate,
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            body = bytearray()
            cap = self._max_bytes if response.status_code == 200 else _ERROR_BODY
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > cap:
                    if response.status_code != 200:
                        break
                    raise ReadFailed("TooLarge", f"its answer is larger than {self._max_bytes >> 20} MiB")
                # The library's timeout is for each piece; a server that sends byte by byte must not keep a thread busy.
                if time.monotonic() > deadline:
                    raise ReadFailed("Timeout", f"it did not finish its answer within {timeout:g}s")
            return response.status_code, body


def _refusal(status: int, body: bytes | bytearray) -> ReadFailed:
    if 300 <= status < 400:
        return ReadFailed("BadResponse", f"it redirects (HTTP {status}), which is not followed; correct its url")
    if status in (401, 403):
        return ReadFailed("Unauthorized", f"it refuses the credentials (HTTP {status})")
    if error_type(body) in ("timeout", "canceled"):
        return ReadFailed("Timeout", f"it gave the query up after its own time limit (HTTP {status})")
    if status == 400 or (status == 422 and error_type(body) == "bad_data"):
        return ReadFailed("BadQuery", f"it does not accept the query (HTTP {status})")
    if status == 422:
        # `execution`: a store that is away, too many samples, series that do not match one to one for a moment.
        return ReadFailed("ExecutionFailed", f"it could not carry the query out now (HTTP {status})")
    if status == 429 or status >= 500:
        return ReadFailed("ServerError", f"it answered HTTP {status}")
    return ReadFailed("BadResponse", f"it answered HTTP {status}; is its url that of a Prometheus?")


def _explained(error: Exception, timeout: float) -> ReadFailed:
    """Any failure of a request, in our words only."""
    if isinstance(error, ReadFailed):
        return error
    if isinstance(error, CredentialsUnreadable):
        return ReadFailed("CredentialsUnreadable", str(error))
    inner = error.args[0] if error.args else None
    if isinstance(error, requests.Timeout) or isinstance(inner, ReadTimeoutError):
        return ReadFailed("Timeout", f"it did not answer within {timeout:g}s")
    if isinstance(error, requests.exceptions.SSLError):
        return ReadFailed("Unreachable", "the TLS connection failed; check caFile, certFile and the server's name")
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return ReadFailed("BadResponse", "its answer broke off or cannot be unpacked")
    if isinstance(error, requests.ConnectionError):
        return ReadFailed("Unreachable", "it cannot be reached")
    return ReadFailed("BadResponse", f"reading it failed ({type(error).__name__})")


class _Span(NamedTuple):
    """The points to read: in (since, now]."""

    since: float  # epoch s
    now: float  # epoch s
    step: float  # s between two points
    until: float  # monotonic s after which no query is begun


def _home(query: Query) -> str:
    """The namespace of a query; empty for those of all namespaces, which come first."""
    return next(iter(query.namespaces)) if query.confined and len(query.namespaces) == 1 else ""


def _believed(row: Row, answer: Answer) -> Answer:
    if not isinstance(answer, Sampled):
        return answer
    series = SeriesBlock.of(answer.series)
    if not len(series):
        return answer
    limits = limits_beside(series.names, answer.limits)
    highest = np.maximum.reduceat(series.v, series.ends() - series.sizes)
    doubted = np.flatnonzero(highest > limits)
    if not doubted.size:
        return answer
    believed = dict(answer.limits)
    for place in doubted.tolist():
        name = series.names[place]
        if row.believed(believed[name], float(highest[place])) is None:
            del believed[name]
    return replace(answer, limits=LimitBlock(series.names, limits_beside(series.names, believed)))


class PrometheusSource:
    """The Metrics port on one endpoint. `bucket` is the resolution of floors in seconds.

    Points lie on multiples of the step, so that every moment is requested once, at whatever times ticks come. Where
    nothing new is due the newest moment is read again: the answer still shows whether the source works.
    """

    kind = "Prometheus"

    def __init__(self, endpoint: Endpoint, *, bucket: float, max_bytes: int = MAX_BYTES) -> None:
        self.name = endpoint.name
        self.pod_labels = (endpoint.namespace_label, endpoint.pod_label)
        self._endpoint = endpoint
        self._bucket = bucket
        self._narrowed: dict[str, str] = {}  # queries as they are sent, where the endpoint has matchers
        self._labels = Labels(endpoint.namespace_label, endpoint.pod_label, endpoint.container_label)
        self._session = _Session(endpoint, max_bytes)
        if endpoint.tls.insecure_skip_verify:
            # The configuration requires it; a warning on stderr at every query would add nothing.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._client = PrometheusConnect(
            url=endpoint.url, session=self._session, retry=Retry(0, read=False), timeout=endpoint.timeout
        )
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix=f"prometheus-{endpoint.name}")
        self._instant_threads = ThreadPoolExecutor(INSTANTS, thread_name_prefix=f"prometheus-{endpoint.name}-instant")
        self._choices: dict[str, Choices] = {}
        self._origins = Origins()
        self._parted: dict[str, Parted] = {}
        self._slow: dict[str, float] = {}  # namespace -> the time it became slow, monotonic s

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        """An answer for each key, within three times the endpoint's timeout. Never raises."""
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        self._choices = {key: each for key, each in self._choices.copy().items() if began - each.asked < CHOICES_KEPT}
        self._parted = {key: each for key, each in self._parted.copy().items() if each.until > began}
        self._slow = {name: at for name, at in self._slow.copy().items() if began - at < SLOW_FOR}
        span = _Span(since, now, step, began + 2 * self._endpoint.timeout)
        futures = {
            loop.run_in_executor(self._threads, self._answer, query, span): query
            for query in in_turn(queries, _home, self._slow.keys())
        }
        if not futures:
            return {}
        done, late = await asyncio.wait(futures, timeout=3 * self._endpoint.timeout)
        answers: dict[str, Answer] = {}
        for future in late:
            future.cancel()
            answers[futures[future].key] = self._failed(ReadFailed("Timeout", "the queries took too long together"))
        for future in done:
            answers[futures[future].key] = future.result()
        return answers

    async def labels(self, query: str, at: float) -> list[dict[str, str]]:
        """The label sets that an instant query finds, for metrics whose information is in their labels. `query` is
        whole PromQL, never a user's. Raises ReadFailed."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._instant_threads, self._label_sets, query, at)
        except Exception as error:
            raise _explained(error, self._endpoint.timeout) from None

    async def values(self, query: str, at: float) -> Sequence[float]:
        """The values that an instant query yields. `query` is complete, confined PromQL. Raises QuestionFailed."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._instant_threads, self._instant, query, at)
        except Exception as error:
            told = _explained(error, self._endpoint.timeout)
            raise QuestionFailed(f"Prometheus {self.name}: {told.message}") from None

    async def close(self) -> None:
        """Release threads and connections; a request under way ends by its own timeout."""
        for threads in (self._threads, self._instant_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    def _answer(self, query: Query, span: _Span) -> Answer:
        """For all namespaces together; where that is too much, for smaller parts, down to the namespace that is the
        cause. The result is used for an hour, so that the others are read in a few queries meanwhile."""
        if query.confined or len(query.namespaces) < 2:
            return self._tried(query, span)
        parts = self._parted[query.key].of(query.namespaces) if query.key in self._parted else [query.namespaces]
        waiting, answers = deque(parts), dict[frozenset[str], Answer]()
        while waiting:
            part = waiting.popleft()
            if answers and time.monotonic() > span.until:
                answers[part] = self._failed(ReadFailed("Timeout", "the queries took too long together"))
                continue
            answer = self._tried(replace(query, namespaces=part), span)
            if isinstance(answer, QueryFailed) and answer.reason in TOO_MUCH and len(part) > 1:
                waiting.extend(smaller(part, MAX_NAMESPACES))
            else:
                answers[part] = answer
        if len(answers) > len(parts) or query.key in self._parted:
            self._part(query.key, answers)
        return together(answers, self._origins.one_list)

    def _part(self, key: str, answers: Mapping[frozenset[str], Answer]) -> None:
        known = self._parted.get(key)
        until = known.until if known is not None else time.monotonic() + APART_FOR
        causes = sorted(
            next(iter(part)) for part, each in answers.items() if isinstance(each, QueryFailed) and len(part) == 1
        )
        if causes and (known is None or known.causes != causes):
            log.warning(
                "the readings of these namespaces are too much, and are asked for apart from the others",
                extra={"source": self.name, "query": key, "namespaces": causes[:20]},
            )
        self._parted[key] = Parted([*sorted(answers, key=len, reverse=True)], causes, until)

    def _tried(self, query: Query, span: _Span) -> Answer:
        try:
            return self._read(query, span.since, span.now, span.step)
        except Exception as error:  # a failure is an answer: one query must not stop a tick
            told = _explained(error, self._endpoint.timeout)
            if len(query.namespaces) == 1 and told.reason in TOO_MUCH:
                (namespace,) = query.namespaces
                self._slow[namespace] = time.monotonic()
                told = ReadFailed(told.reason, f"{told.message}, for namespace {namespace} alone")
            return self._failed(told)

    def _failed(self, error: ReadFailed) -> QueryFailed:
        return QueryFailed(error.reason, f"Prometheus {self.name}: {error.message}")

    def _read(self, query: Query, since: float, now: float, step: float) -> Answer:
        step = max(1.0, math.ceil(step))
        last = math.floor(now / step) * step
        first = max((math.floor(since / step) + 1) * step, last - (MAX_POINTS - 1) * step)
        first = min(first, last)
        asked = {"timeout": f"{math.ceil(self._endpoint.timeout)}s", **ALL_OR_NOTHING}
        values: SentSeries = self._client.custom_query_range(
            self._sent(self._promql(query, query.value)),
            start_time=datetime.fromtimestamp(first, UTC),
            end_time=datetime.fromtimestamp(last, UTC),
            step=f"{step:.0f}",
            params=asked,
        )
        limits = SentSeries.of([])
        if query.limit is not None and len(values):
            limits = self._client.custom_query(
                self._sent(self._promql(query, query.limit)), params={**asked, "time": f"{last:.0f}"}
            )
        row = row_of(query.key)
        scope = Scope(
            labels=self._labels,
            namespaces=query.namespaces,
            since=since,
            until=now,
            namespace=next(iter(query.namespaces)) if query.confined and len(query.namespaces) == 1 else None,
            drop_zeros=row is not None and row.never_zero,
        )
        choices = self._choices.setdefault(query.key, Choices())
        choices.asked = time.monotonic()
        answer = join(values, limits, scope, choices, self._origins)
        return _believed(row, answer) if row is not None else answer

    def _label_sets(self, query: str, at: float) -> list[dict[str, str]]:
        asked = {"timeout": f"{math.ceil(self._endpoint.timeout)}s", **ALL_OR_NOTHING, "time": f"{at:.0f}"}
        found: SentSeries = self._client.custom_query(self._sent(query), params=asked)
        return [label_set(each) for each in found.labels]

    def _instant(self, query: str, at: float) -> list[float]:
        asked = {"timeout": f"{math.ceil(self._endpoint.timeout)}s", **ALL_OR_NOTHING, "time": f"{at:.0f}"}
        found: SentSeries = self._client.custom_query(self._sent(query), params=asked)
        if found.bad:
            raise BadResponse
        # A series without a number (a native histogram) is also an answer, but it does not mean zero.
        return [math.nan if value is None else value for value in found.newest()]

    def _sent(self, query: str) -> str:
        """The query with the matchers that this endpoint's configuration adds to every selector."""
        if not self._endpoint.matchers:
            return query
        known = self._narrowed.get(query)
        if known is None:
            if len(self._narrowed) >= NARROWED:
                self._narrowed.clear()  # most of them are of policies that are gone
            known = self._narrowed[query] = narrowed(query, self._endpoint.matchers)
        return known

    def _promql(self, query: Query, template: str) -> str:
        if query.confined:
            return template
        return render(
            template,
            matchers=self._matchers(query.namespaces),
            bucket=self._bucket,
            max_age=LIMIT_AGE,
            labels=self._labels,
        )

    def _matchers(self, namespaces: frozenset[str]) -> str:
        label = self._labels.namespace
        if len(namespaces) == 1:
            return matcher(label, "=", next(iter(namespaces)))
        if len(namespaces) > MAX_NAMESPACES:
            return matcher(label, "!=", "")
        return matcher(label, "=~", "|".join(literal_regex(each) for each in sorted(namespaces)))
