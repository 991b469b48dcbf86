"""Policies' queries are parsed in a process that can be ended, and that cannot take the operator's memory with it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from leakwarden.adapters.promql.process import ParserProcess
from leakwarden.core.model.policy import parse_policy
from leakwarden.core.promql import PromQLError, Question
from tests.builders import body

# 12 matchers whose regular expressions take the parser some 70 MiB and seconds: as many as are parsed at all.
HEAVY = "x{" + ",".join(['a=~"\\\\w{99}"'] * 12) + "}"


@pytest.fixture
def parser() -> Iterator[ParserProcess]:
    made = ParserProcess()
    yield made
    made.close()


def refusal(parser: ParserProcess, query: str) -> str:
    with pytest.raises(PromQLError) as refused:
        parser(Question(query, "shop"))
    return str(refused.value)


def test_a_query_is_confined_as_it_is_without_the_process(parser: ParserProcess) -> None:
    assert parser(Question("rate(x[5m])", "shop")).query == 'rate(x{namespace="shop"}[5m])'
    veto = parser(Question("up == 0", "shop", of_pods=False))
    assert "empty or zero" in veto.never_objects
    assert "drops the label pod" in refusal(parser, "sum(x)")


def test_a_query_that_takes_too_long_ends_its_process_and_no_other() -> None:
    parser = ParserProcess(cpu_seconds=0.2)
    try:
        assert "takes more than 0.2s" in refusal(parser, HEAVY)
        assert parser(Question("x", "shop")).query == 'x{namespace="shop"}'
        assert "takes more than 0.2s" in refusal(parser, HEAVY), "and it is not tried again at each event of the policy"
    finally:
        parser.close()


def test_a_query_that_takes_too_much_memory_ends_its_process_and_none_of_ours_grows() -> None:
    parser = ParserProcess(cpu_seconds=60, memory=128 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        assert "too much memory" in refusal(parser, HEAVY)
        assert parser(Question("x", "shop")).query == 'x{namespace="shop"}'
    finally:
        parser.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10, "KiB"


def test_an_answer_that_does_not_come_is_not_waited_for_and_says_nothing_of_the_query() -> None:
    parser = ParserProcess(cpu_seconds=60, patience=0.0)
    try:
        assert "was not read within 0s" in refusal(parser, "x")
        parser._patience = 60.0  # the machine is less busy
        assert parser(Question("x", "shop")).query
    finally:
        parser.close()


def test_a_process_that_was_killed_is_begun_again(parser: ParserProcess) -> None:
    assert parser(Question("x", "shop")).query
    process = parser._process
    assert process is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert parser(Question("y", "shop")).query


def test_a_query_of_256_terms_makes_the_policy_invalid_and_nothing_else(parser: ParserProcess) -> None:
    signal = {"name": "s", "type": "PromQL", "query": "+".join(["a"] * 256), "threshold": {"above": "1"}}
    read = parse_policy(body(spec={"signals": [signal]}), parser)
    assert read.spec is None
    assert "spec.signals[0].query" in read.error
    assert "255 operators" in read.error


def test_a_source_that_calls_its_labels_otherwise_is_asked_by_those_names(parser: ParserProcess) -> None:
    signal = {"name": "s", "type": "PromQL", "query": "sum by (k8s_pod) (x)", "threshold": {"above": "1"}}
    spec = {"signals": [signal], "source": {"prometheus": "far"}}
    read = parse_policy(body(spec=spec), parser, {"far": ("k8s_namespace", "k8s_pod")})
    assert read.error == ""
    assert [each.query for each in read.confined.values()] == ['sum by (k8s_pod) (x{k8s_namespace="shop"})']
