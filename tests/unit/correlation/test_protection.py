"""Protections: seen where they worked, not seen where they had to and did not, not known where nothing asked for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from leakwarden.core.correlation.episode import Episode, PodReadings
from leakwarden.core.correlation.presets import PRESETS
from leakwarden.core.correlation.protection import (
    PoolBudget,
    Protection,
    ProxyCounts,
    Sight,
    of_episode,
    of_load,
    pool_budget,
)
from leakwarden.core.correlation.protection_queries import (
    pool_budget_of,
    pool_queries,
    proxy_counts,
    proxy_queries,
)
from leakwarden.core.model.readings import Answer, NoData, Points, Sampled, SeriesKey

SEEN, NOT_SEEN, NOT_KNOWN = Sight
T = np.arange(0.0, 1800.0, 15.0)
QUIET = np.zeros(T.size)
NEAR_900 = np.where(np.abs(T - 900) <= 20, 10.0, 0.0)


def episode(errors: Any = QUIET, starts: tuple[float, ...] = (), **more: Any) -> Episode:
    pods = [PodReadings("a", goroutines=np.full(T.size, 9.0), starts=starts)]
    return Episode(t=T, requests=np.full(T.size, 100.0), errors={502: np.asarray(errors)}, pods=pods, **more)


def seen(found: Episode, away: Any = QUIET, **counts: float | None) -> dict[str, Protection]:
    return {each.name: each for each in of_episode(found, away, ProxyCounts(**counts))}


@pytest.mark.parametrize(
    ("found", "sight"),
    [
        (episode(starts=(900.0,)), SEEN),
        (episode(NEAR_900, (900.0,)), NOT_SEEN),
        (episode(np.full(T.size, 10.0), (900.0,)), NOT_KNOWN),
        (episode(), NOT_KNOWN),
        (episode(starts=(900.0,), starts_known=False), NOT_KNOWN),
    ],
)
def test_a_graceful_stop_is_judged_by_the_errors_near_starts(found: Episode, sight: Sight) -> None:
    judged = seen(found)["graceful stop"]
    assert judged.sight is sight
    assert bool(judged.advice) is (sight is NOT_SEEN)


def test_a_pod_that_is_gone_ended_and_one_that_was_added_did_not() -> None:
    gone = PodReadings("a", goroutines=np.where(T < 900, 9.0, np.nan))
    added = PodReadings("b", goroutines=np.where(T < 900, np.nan, 9.0), starts=[890.0])
    assert (
        seen(replace(episode(), pods=[gone, added]))["graceful stop"].why == "1 process ended, without errors near that"
    )
    assert seen(replace(episode(), pods=[added]))["graceful stop"].sight is NOT_KNOWN
    assert seen(replace(episode(NEAR_900), pods=[gone]))["graceful stop"].sight is NOT_SEEN


def test_a_rate_limit_is_seen_by_its_429s_and_missed_only_where_requests_failed() -> None:
    assert seen(episode(), np.where(T > 900, 3.0, 0.0))["rate limit"].sight is SEEN
    assert seen(episode(NEAR_900))["rate limit"].sight is NOT_SEEN
    assert seen(episode())["rate limit"].sight is NOT_KNOWN
    assert seen(episode(NEAR_900), None)["rate limit"].sight is NOT_KNOWN


@pytest.mark.parametrize(
    ("counts", "retries", "breaker"),
    [
        ({}, NOT_KNOWN, NOT_KNOWN),
        ({"retries": 4.0, "ejections": 1.0}, SEEN, SEEN),
        ({"retries": 0.0, "overflows": 0.0}, NOT_SEEN, NOT_SEEN),
        ({"breaker_open": 1.0}, NOT_KNOWN, SEEN),
        ({"breaker_open": 0.0}, NOT_KNOWN, NOT_SEEN),
    ],
)
def test_retries_and_breakers_are_seen_by_what_proxy_and_service_count(
    counts: dict[str, float], retries: Sight, breaker: Sight
) -> None:
    found = seen(episode(NEAR_900), **counts)
    assert (found["retries"].sight, found["circuit breaker"].sight) == (retries, breaker)
    calm = seen(episode(), **counts)
    assert NOT_SEEN not in (calm["retries"].sight, calm["circuit breaker"].sight)


@pytest.mark.parametrize(
    ("connections", "requests", "sight"),
    [
        (10.0, 1000.0, SEEN),
        (1000.0, 1000.0, NOT_SEEN),
        (200.0, 1000.0, NOT_SEEN),
        (None, 9.0, NOT_KNOWN),
        (5.0, 0.0, NOT_KNOWN),
    ],
)
def test_connections_are_reused_where_few_serve_many_requests(
    connections: float | None, requests: float, sight: Sight
) -> None:
    found = seen(episode(), connections=connections, requests=requests)["connection reuse"]
    assert found.sight is sight
    assert bool(found.advice) is (sight is NOT_SEEN)


@pytest.mark.parametrize(
    ("budget", "sight", "says"),
    [
        (PoolBudget(20, 4, None, 100), SEEN, "4 pods of 20: 80 connections, the database takes 100"),
        (PoolBudget(20, 4, 10, 100), NOT_SEEN, "10 at the autoscaler's maximum: 200 connections"),
        (PoolBudget(20, 5, None, 100), NOT_SEEN, "100 connections"),  # three are kept for superusers
        (PoolBudget(20, 4, 2, 100, databases=2), SEEN, "(the lowest of 2 databases)"),
        (PoolBudget(None, 4, None, 100), NOT_KNOWN, "no pod says"),
        (PoolBudget(20, 4, None, None), NOT_KNOWN, "max_connections is not known"),
    ],
)
def test_pools_of_all_replicas_are_held_against_the_databases_limit(
    budget: PoolBudget, sight: Sight, says: str
) -> None:
    found = pool_budget(budget)
    assert found.sight is sight
    assert says in found.why
    if sight is NOT_SEEN:
        most = max(budget.replicas, budget.most_replicas or 0)
        fitting = replace(budget, per_pod=float(97 // most))
        assert f"SetMaxOpenConns({97 // most})" in found.advice
        assert pool_budget(fitting).sight is SEEN


def test_a_load_test_sees_a_rate_limit_only_under_overload() -> None:
    assert of_load([0.0, 0.4], True)[0].sight is SEEN
    assert of_load([0.0, 0.0], True)[0].sight is NOT_SEEN
    assert of_load([0.0], False)[0].sight is NOT_KNOWN


def sampled(*values: float, limit: float | None = None) -> Answer:
    key = SeriesKey("shop", "all")
    points = Points(np.arange(float(len(values))), np.array(values))
    return Sampled({key: points}, {key: limit} if limit is not None else {})


def test_the_counts_come_from_the_names_that_each_proxy_has() -> None:
    envoy = {query.key: query.value for query in proxy_queries(PRESETS["envoy"], "web", "shop", "web-.*", 15.0)}
    assert 'envoy_cluster_upstream_rq_retry{envoy_cluster_name="web"}[60s]' in envoy["protection/retries"]
    istio = {query.key: query.value for query in proxy_queries(PRESETS["istio"], "web", "shop", "web-.*", 15.0)}
    assert 'response_flags="UO"' in istio["protection/overflows"]
    for preset in (None, PRESETS["ingress-nginx"], PRESETS["application"]):
        assert [q.key for q in proxy_queries(preset, "web", "shop", "web-.*", 15.0)] == ["protection/breaker_open"]
    answers = {"protection/retries": sampled(0.5, 1.5), "protection/breaker_open": sampled(0.0, 1.0, 0.0)}
    assert proxy_counts(answers, 100.0) == ProxyCounts(retries=100.0, breaker_open=1.0)


def test_a_number_that_the_user_gives_goes_before_what_was_read() -> None:
    answers = {
        "protection/pool": sampled(3.0, limit=25.0), "protection/database": sampled(90.0, 100.0),
        "protection/databases": sampled(2.0), "protection/most-replicas": sampled(8.0),
    }  # fmt: skip
    assert pool_budget_of(answers, 3) == PoolBudget(25.0, 3, 8, 100.0, 2)
    assert pool_budget_of(answers, 3, pool=10, database=50) == PoolBudget(10.0, 3, 8, 50.0, 1)
    assert pool_budget_of({"protection/pool": NoData("NoSeries", "")}, 3) == PoolBudget(None, 3, None, None, 1)
    most = {query.key: query.value for query in pool_queries("shop", "web-.*", "web")}["protection/most-replicas"]
    assert 'kube_horizontalpodautoscaler_info{namespace="shop",scaletargetref_name="web"}' in most
