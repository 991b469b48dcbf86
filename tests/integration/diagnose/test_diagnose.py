"""`leakwarden diagnose` on a Prometheus with a drawn episode, from the exact queries to the exit code."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.cli.diagnose import command
from leakwarden.core.correlation.causes import Cause
from leakwarden.core.correlation.episode import Episode
from leakwarden.core.correlation.presets import PRESETS
from leakwarden.core.correlation.remembered import CALLS, CPU, MEMORY
from leakwarden.core.correlation.traffic import of_pods
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT, Labels, render
from tests.bench.causes.drawing import CAUSES, STEP, episode, quiet
from tests.integration.prometheus.fake_loki import loki
from tests.integration.prometheus.fake_prometheus import SECRET, FakePrometheus, prometheus

SINCE = 1800.0
BUCKET = 15.0  # s: the step of a read of half an hour
PRESET = PRESETS["ingress-nginx"]


def query(template: str) -> str:
    template = of_pods(template, "pod", "checkout-.*")
    return render(template, matchers='namespace="shop"', bucket=BUCKET, max_age=300.0, labels=Labels())


def remember(fake: FakePrometheus, found: Episode) -> None:
    """Every reading of the episode, moved so that it ends now, at each multiple of 15 s."""
    end = int(time.time()) // 15 * 15
    shift = end - float(found.t[-1])
    every = int(BUCKET / STEP)

    def add(promql: str, values: Any, **labels: str) -> None:
        if values is None:
            return
        points: list[tuple[float, str]] = [
            (int((t + shift) // 15 * 15), str(float(v)))
            for t, v in zip(found.t[::-every][::-1], np.asarray(values)[::-every][::-1], strict=True)
            if np.isfinite(v)
        ]
        fake.series.setdefault(promql, []).append((labels, points))

    failed = np.sum(list(found.errors.values()), axis=0)
    codes: Mapping[int, Any] = {200: found.requests - failed, **found.errors}
    for code, rates in codes.items():
        # Three of the drawn moments are one here, as in a rate over a minute.
        smooth = np.convolve(rates, np.ones(3) / 3, mode="same")
        add(PRESET.errors("checkout", BUCKET), smooth, pod=str(code), status=str(code))
    add(PRESET.p99("checkout", BUCKET), found.proxy_p99, pod="proxy")
    for n, pod in enumerate(found.pods):
        of = {"namespace": "shop", "pod": f"checkout-{n}"}
        for kind, values, limit in (
            (SignalType.DESCRIPTORS, pod.descriptors, 1024.0),
            (SignalType.DB_POOL, pod.pool, 50.0),
        ):
            if values is None:
                continue
            add(query(CATALOGUE[kind].value), values * limit, **of)
            promql = CATALOGUE[kind].limit
            assert promql is not None
            add(query(promql), np.full(found.t.size, limit), **of)
        add(query(CATALOGUE[SignalType.GOROUTINES].value), pod.goroutines, **of)
        add(query(CATALOGUE[SignalType.LATENCY_P99].value), found.own_p99, **of)
        add(query(CATALOGUE[SignalType.HTTP_ERRORS].value), found.own_errors, **of)
        add(query(CPU), pod.cpu, **of)
        add(query(CALLS), found.dependency_p99, **of)
        add(query(MEMORY), pod.memory, **of)
        begun = np.full(found.t.size, float(pod.starts[0]) if pod.starts else float(found.t[0]) - 1e5)
        for start in pod.restarts:
            begun[found.t >= start] = start
        add(query(CONTEXT["start"]), np.where(found.t < begun[0], np.nan, begun + shift), **of)


def ask(url: str, *more: str) -> int:
    top = argparse.ArgumentParser()
    command.add_parser(top.add_subparsers())
    arguments = [
        "diagnose",
        "--prometheus",
        url,
        "--proxy",
        "ingress-nginx",
        "--route",
        "checkout",
        "--namespace",
        "shop",
    ]
    parsed = top.parse_args([*arguments, "--pods", "checkout-", "--since", "30m", *more])
    code: int = parsed.run(parsed)
    return code


async def diagnosed(found: Episode, *more: str) -> int:
    async with prometheus() as fake:
        remember(fake, found)
        timeout = f"{found.timeout or 60:.3f}s"
        return await asyncio.to_thread(ask, fake.url, "--proxy-timeout", timeout, *more)


@pytest.mark.parametrize("cause", list(Cause))
async def test_each_cause_is_named_from_what_prometheus_remembers(
    cause: Cause, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await diagnosed(episode(7, CAUSES[cause], missing=0.0), "-o", "json")
    body = json.loads(capsys.readouterr().out)
    assert (body["cause"], code) == (str(cause), 1), body
    if cause in (Cause.EXHAUSTION, Cause.ROLLOUT):
        assert body["pods"]


async def test_a_quiet_time_is_no_episode(capsys: pytest.CaptureFixture[str]) -> None:
    assert await diagnosed(episode(7, quiet, missing=0.0)) == 0
    out = capsys.readouterr().out
    assert out.startswith("hardly any errors: never more than 1% of the requests failed, and it did not get slow\n")
    assert "  rate limit: not known; no overload was there to turn away" in out


async def test_the_text_names_the_cause_the_clues_the_pods_and_what_is_not_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await diagnosed(episode(7, CAUSES[Cause.EXHAUSTION], missing=0.0)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cause: Exhaustion"
    assert any("it had climbed steadily before" in line for line in lines)
    assert any(line.startswith("pod checkout-") and "of the limit" in line for line in lines)
    assert "not read: log lines of the time" in lines


async def test_what_only_the_proxy_saw_is_not_explained(capsys: pytest.CaptureFixture[str]) -> None:
    found = episode(7, CAUSES[Cause.EXHAUSTION], missing=0.0)
    async with prometheus() as fake:
        remember(fake, found)
        kept = (PRESET.errors("checkout", BUCKET),)
        fake.series = {promql: series for promql, series in fake.series.items() if promql in kept}
        code = await asyncio.to_thread(ask, fake.url)
    assert code == 3
    assert capsys.readouterr().out.startswith("the cause cannot be told from what was read")


async def test_a_route_that_is_not_there_and_a_server_that_refuses_are_told_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with prometheus() as fake:
        assert await asyncio.to_thread(ask, fake.url) == 2
        assert "no nginx_ingress_controller_requests with ingress='checkout' in this time" in capsys.readouterr().err
        fake.wanted_authorization = "Bearer of-somebody-else"
        assert await asyncio.to_thread(ask, fake.url) == 2
        err = capsys.readouterr().err
    assert "in this time" not in err
    assert SECRET not in err


async def test_log_lines_are_clues_and_are_shown_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "checkout.log"
    log.write_text("accept4: too many open files token=hunter2\n" * 5 + "2001-01-01T00:00:00Z connection refused\n")
    found = replace(episode(7, CAUSES[Cause.EXHAUSTION], missing=0.0), pods=[])
    assert await diagnosed(found) == 3
    capsys.readouterr()
    assert await diagnosed(found, "--log", str(log)) == 1
    out = capsys.readouterr().out
    assert out.startswith("cause: Exhaustion\n")
    assert "log, TooManyOpenFiles: 5 lines" in out
    assert "ConnectionRefused" not in out
    assert "hunter2" not in out
    assert await diagnosed(found, "--log", str(tmp_path / "none")) == 2
    assert "none: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--since", "25h"], "--since is 25h; more than 0 and at most 24h is allowed"),
        (["--proxy-timeout", "soon"], "--proxy-timeout: 'soon'"),
    ],
)
def test_what_was_asked_wrongly_is_one_line(more: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("http://127.0.0.1:1", *more) == 2
    assert capsys.readouterr().err.startswith(f"leakwarden diagnose: {said}")


def access_log(found: Episode) -> str:
    """What nginx would have logged of a hundredth of the episode's requests, moved so that it ends now."""
    shift = time.time() - float(found.t[-1])
    failed = np.sum(list(found.errors.values()), axis=0)
    lines = []
    for code, rates in {200: found.requests - failed, **found.errors}.items():
        for t, rate in zip(found.t, rates, strict=True):
            at = (datetime.fromtimestamp(float(t) + shift, UTC)).isoformat()
            lines += [json.dumps({"time": at, "uri": "/checkout/pay", "status": code})] * round(float(rate) * STEP)
    return "\n".join(lines)


@pytest.mark.slow
async def test_a_plain_nginx_is_read_from_its_access_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = episode(7, CAUSES[Cause.EXHAUSTION], missing=0.0)
    log = tmp_path / "access.log"
    log.write_text(access_log(found))
    async with prometheus() as fake:
        remember(fake, found)
        proxied = (PRESET.errors("checkout", BUCKET), PRESET.p99("checkout", BUCKET))
        fake.series = {promql: series for promql, series in fake.series.items() if promql not in proxied}
        more = ("--proxy", "nginx", "--route", "/checkout/", "--access-log", str(log), "-o", "json")
        code = await asyncio.to_thread(ask, fake.url, *more)
        assert (json.loads(capsys.readouterr().out)["cause"], code) == ("Exhaustion", 1)
        other = ("--proxy", "nginx", "--route", "/search/", "--access-log", str(log))
        assert await asyncio.to_thread(ask, fake.url, *other) == 2
        assert "no request to '/search/' in this time" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--proxy", "nginx"], ["--access-log", "x"]])
def test_nginx_and_its_log_go_together(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("http://127.0.0.1:1", *more) == 2
    assert "--proxy nginx and --access-log FILE go together" in capsys.readouterr().err


async def test_a_loki_gives_clues_that_are_lined_up_with_the_readings(capsys: pytest.CaptureFixture[str]) -> None:
    found = episode(7, CAUSES[Cause.EXHAUSTION], missing=0.0)
    now = time.time()
    lines = [(int((now - 60 + n) * 1e9), "accept4: too many open files token=hunter2") for n in range(5)]
    async with loki() as logs:
        logs.streams = [({"namespace": "shop", "pod": "checkout-1"}, lines)]
        assert await diagnosed(found, "--loki", logs.url, "--loki-tenant", "team-a") == 1
        out = capsys.readouterr().out
        assert logs.headers[0]["X-Scope-OrgID"] == "team-a"
        assert logs.asked[0]["query"].startswith('{namespace="shop",pod=~"checkout-.*"} |~ `(?i)(')
    assert "log, TooManyOpenFiles: 5 lines" in out
    assert "5 of 5 log lines TooManyOpenFiles were written while a pod's descriptors were used up" in out
    assert "TooManyOpenFiles 5" in out
    assert "hunter2" not in out
    assert "log lines of the time" not in out


async def test_a_loki_without_these_pods_is_said_and_gives_no_clue(capsys: pytest.CaptureFixture[str]) -> None:
    found = episode(7, CAUSES[Cause.EXHAUSTION], missing=0.0)
    async with loki() as logs:
        assert await diagnosed(found, "--loki", logs.url) == 1
        out, err = capsys.readouterr()
        assert f"not read: logs of the Loki at {logs.url}: it has no line of these pods in this time" in err
    assert "not read: log lines of the time" in out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--loki", "http://me:secret@loki"], "--loki must not hold a user or password"),
        (["--loki", "loki"], "--loki is 'loki'; it must begin with http"),
        (["--loki", "http://loki", "--loki-tenant", "a\nb"], "--loki: the value of X-Scope-OrgID must be printable"),
        (["--loki-tenant", "a"], "--loki-tenant goes with --loki; leave it out"),
    ],
)
def test_a_loki_that_cannot_be_asked_is_refused(more: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("http://127.0.0.1:1", *more) == 2
    assert capsys.readouterr().err.startswith(f"leakwarden diagnose: {said}")
