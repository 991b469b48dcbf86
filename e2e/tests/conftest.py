"""One cluster, one operator, one namespace per scenario; and the state that a person reads after a failed test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from e2e.faults.scene import World
from e2e.harness.diagnosis import namespace_report, operator_report
from e2e.harness.images import ensure_cluster, ensure_images
from e2e.harness.kube import apply, delete
from e2e.harness.release import NAMESPACE, OPERATOR_VALUES, RELEASE, install_operator, stop_operators
from e2e.harness.stack import install_stack
from e2e.stack import manifests

#: `empty` and `stopped` are the Prometheus servers of test_sources.py; they need not be there before it.
THREE_SOURCES: Mapping[str, Any] = {
    **OPERATOR_VALUES,
    "prometheus": [
        *OPERATOR_VALUES["prometheus"],
        {"name": "empty", "url": "http://empty.monitoring:9090", "timeout": "4s"},
        {"name": "stopped", "url": "http://stopped.monitoring:9090", "timeout": "4s"},
    ],
}

_alive = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def stack() -> None:
    """The cluster, the images on its nodes, and Prometheus."""
    ensure_cluster()
    ensure_images()
    install_stack()


@pytest.fixture(scope="session")
def installed() -> dict[str, str]:
    """The operator that runs now; a test that installs another one writes it here."""
    return {"operator": ""}


@pytest.fixture(scope="module")
def operator(stack: None, installed: dict[str, str]) -> str:
    """The operator of the whole cluster, allowed every action; the name of its namespace."""
    if installed["operator"] != "everything":
        install_operator(RELEASE, NAMESPACE, THREE_SOURCES)
        installed["operator"] = "everything"
    return NAMESPACE


@pytest.fixture(scope="module")
def world(installed: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The shared world of fault scenarios. Each runs an operator of its own, so an installed one has to be stopped."""
    ensure_cluster()
    stop_operators()
    installed["operator"] = "none"
    made = World(tmp_path_factory.mktemp("world"))
    try:
        yield made
    finally:
        made.close()


@contextmanager
def a_namespace(config: pytest.Config, purpose: str) -> Iterator[str]:
    """A namespace of its own, which is reported on when a test fails and deleted afterwards."""
    name = f"e2e-{purpose}-{secrets.token_hex(3)}"
    apply(manifests.namespace(name))
    alive = config.stash.setdefault(_alive, [])
    alive.append(name)
    try:
        yield name
    finally:
        alive.remove(name)
        delete("namespace", name)


@pytest.fixture
def namespace(operator: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """For one test."""
    with a_namespace(request.config, request.module.__name__.rpartition("test_")[2].replace("_", "-")) as name:
        yield name


@pytest.fixture(scope="module")
def module_namespace(operator: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """For all tests of a module."""
    with a_namespace(request.config, request.module.__name__.rpartition("test_")[2].replace("_", "-")) as name:
        yield name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # the generator returns a TestReport
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed and call.excinfo is not None and not call.excinfo.errisinstance(KeyboardInterrupt):
        _add(report, "the operator", operator_report)
        for name in item.config.stash.get(_alive, []):
            _add(report, f"namespace {name}", partial(namespace_report, name))
    return report  # type: ignore[return-value]


def _add(report: pytest.TestReport, title: str, say: Callable[[], str]) -> None:
    try:
        text = say()
    except Exception as error:  # a report on a failure must never hide the failure
        text = f"could not be read: {error}"
    report.sections.append((title, text))
