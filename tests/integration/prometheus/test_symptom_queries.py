"""The symptoms' queries, computed by Prometheus itself (promtool), with real exporters' metric names."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT, Labels, render

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
MINUTES = 20


def counters(name: str, per_minute: dict[str, float], label: str = "", **labels: str) -> list[dict[str, str]]:
    """Series of one counter, each with a value of `label` and its growth per minute."""
    return [
        series(name, growth, **{**({label: value} if label else {}), **labels}) for value, growth in per_minute.items()
    ]


def series(name: str, growth: float, namespace: str = "shop", **labels: str) -> dict[str, str]:
    inside = ",".join(f'{key}="{value}"' for key, value in {"namespace": namespace, **labels}.items())
    return {"series": f"{name}{{{inside}}}", "values": f"0+{growth}x{MINUTES}"}


def expected(template: str, by_pod: dict[str, float]) -> dict[str, Any]:
    """After ten minutes exactly these pods have exactly these values. No request gives NaN, which equals nothing, itself
    included: -1 stands for it."""
    query = f"round({rendered(template)}, 0.000001)"  # releases of Prometheus differ in the last digit
    return {
        "expr": f"{query} == {query} or (0 * count by (namespace, pod) ({query}) - 1)",
        "eval_time": "10m",
        "exp_samples": [
            {"labels": f'{{namespace="shop",pod="{pod}"}}', "value": round(value, 6)} for pod, value in by_pod.items()
        ],
    }


def rendered(template: str) -> str:
    return render(template, matchers='namespace="shop"', bucket=60, max_age=300, labels=Labels())


def check(folder: Path, given: list[dict[str, str]], *tests: dict[str, Any]) -> None:
    file = folder / "test.json"
    file.write_text(
        json.dumps(
            {
                "evaluation_interval": "1m",
                "tests": [{"interval": "1m", "input_series": given, "promql_expr_test": list(tests)}],
            }
        )
    )
    ran = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


ERRORS = CATALOGUE[SignalType.HTTP_ERRORS].value
P99 = CATALOGUE[SignalType.LATENCY_P99].value
OTEL = "http_server_request_duration_seconds"


def test_the_share_of_failures_is_found_under_every_exporters_names(tmp_path: Path) -> None:
    given = [
        *counters("http_requests_total", {"200": 54, "502": 6}, "code", pod="go"),
        *counters("http_requests_total", {"200": 60}, "status", pod="clean"),
        *counters("http_requests_total", {"2xx": 30, "5xx": 30}, "status_code", pod="grouped"),
        *counters("http_request_duration_seconds_count", {"200": 45, "500": 15}, "code", pod="histogram"),
        *counters("http_server_requests_seconds_count", {"200": 60, "503": 20}, "status", pod="jvm"),
        *counters(f"{OTEL}_count", {"200": 54, "500": 6}, "http_response_status_code", pod="otel", method="GET"),
        *counters(f"{OTEL}_count", {"200": 54, "500": 6}, "http_response_status_code", pod="otel", method="POST"),
        *counters("http_requests_total", {"503": 60}, "code", pod="down"),
        *counters("http_requests_total", {"404": 60}, "code", pod="lost"),
    ]
    found = {"go": 0.1, "clean": 0, "grouped": 0.5, "histogram": 0.25, "jvm": 0.25, "otel": 0.1, "down": 1, "lost": 0}
    rates = {"go": 1, "clean": 1, "grouped": 1, "histogram": 1, "jvm": 80 / 60, "otel": 2, "down": 1, "lost": 1}
    check(tmp_path, given, expected(ERRORS, found), expected(CONTEXT["rate"], rates))


def test_who_tells_no_status_codes_has_no_ratio_and_who_has_no_requests_has_no_number(tmp_path: Path) -> None:
    given = [
        series("http_requests_total", 60, pod="mute"),
        *counters("http_requests_total", {"200": 0, "500": 0}, "code", pod="idle"),
        *counters("http_requests_total", {"500": 60}, "code", pod="foreign", namespace="elsewhere"),
    ]
    check(tmp_path, given, expected(ERRORS, {"idle": -1}), expected(CONTEXT["rate"], {"idle": 0, "mute": 1}))


def test_a_pod_that_counts_twice_is_counted_once(tmp_path: Path) -> None:
    given = [
        *counters("http_requests_total", {"200": 60}, "code", pod="both"),
        *counters("http_request_duration_seconds_count", {"500": 60}, "status", pod="both"),
    ]
    check(tmp_path, given, expected(ERRORS, {"both": 0}))


def test_the_p99_is_read_from_buckets_and_reaches_no_further_than_they_do(tmp_path: Path) -> None:
    given = [
        *counters(f"{OTEL}_bucket", {"0.1": 90, "1": 98, "2.5": 100, "+Inf": 100}, "le", pod="otel", route="/a"),
        *counters(f"{OTEL}_bucket", {"0.1": 90, "1": 98, "2.5": 100, "+Inf": 100}, "le", pod="otel", route="/b"),
        *counters("http_request_duration_seconds_bucket", {"0.1": 50, "1": 50, "+Inf": 100}, "le", pod="slow"),
        *counters("http_server_requests_seconds_bucket", {"1": 0, "+Inf": 0}, "le", pod="idle"),
    ]
    check(tmp_path, given, expected(P99, {"otel": 1.75, "slow": 1, "idle": -1}))
