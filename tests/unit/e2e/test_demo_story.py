"""The demo's story with a shop that leaks by the clock: its waits, and its steps after them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from e2e.demo import __main__ as demo
from e2e.demo import shop, story, watch
from e2e.demo.observation import Levels, Observation, Pod, ServiceState, Told
from e2e.demo.screen import Screen
from e2e.demo.stages import StageFailed
from e2e.demo.summary import checks
from e2e.demo.text import Look
from e2e.demo.view import Scene
from e2e.harness.kube import KubectlError
from e2e.harness.waiting import TimedOut

OUTCOME = {"rows": [{"name": "ErrorRate", "unit": "of requests", "after": 0.0}, {"name": "HTTP 502", "before": 2.0}]}
EPOCH = datetime(2026, 1, 2, tzinfo=UTC)


class Audience(Screen):
    """A screen that records its calls."""

    def __init__(self) -> None:
        self.look = Look(colours=False, unicode=True)
        self.interval = 5.0
        self.scenes: list[Scene] = []

    def tell(self, lines: Any = "") -> None: ...

    def show(self, scene: Scene) -> None:
        self.scenes.append(scene)

    def width(self) -> int:
        return 79


@dataclass
class World:
    """Seconds pass only while the story sleeps. The leak exhausts after a minute; an eviction takes five seconds."""

    now: float = 0.0
    load_began: float | None = None
    enforced: float | None = None
    leaks: bool = True
    evicts: bool = True
    unreachable: tuple[float, float] = (0.0, 0.0)
    logged: list[str] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds))):
            self.now += 1
            if self.load_began is not None:
                self._log_a_second()

    @property
    def replaced(self) -> bool:
        return self.evicts and self.enforced is not None and self.now > self.enforced + 5

    @property
    def exhausted(self) -> bool:
        return self.leaks and self.load_began is not None and self.now > self.load_began + 60 and not self.replaced

    def _log_a_second(self) -> None:
        time = (EPOCH + timedelta(seconds=self.now)).isoformat()
        for name in shop.SERVICES:
            status = "502" if name == shop.LEAKING and self.exhausted else "200"
            for index in range(shop.RATE):
                line = {"time": time, "uri": f"/{name}/work", "status": status}
                self.logged.append(json.dumps({**line, "request_id": f"{name}{self.now}{index}"}))

    def send_load(self) -> None:
        self.load_began = self.now

    def enforce(self) -> None:
        assert self.exhausted, "the story lets Leakwarden act before anybody saw the errors"
        self.enforced = self.now

    def read_access_log(self, _namespace: str, since: str) -> str:
        return "\n".join(line for line in self.logged if json.loads(line)["time"] >= since)

    def look(self, *_: Any) -> Observation:
        if self.unreachable[0] <= self.now < self.unreachable[1]:
            raise KubectlError("connection refused")
        services = {name: self._state(name) for name in shop.SERVICES}
        record = {"workload": shop.LEAKING, "type": "EvictPod", "podUID": "uid-old", "phase": "Done"}
        result = "Effective" if self.enforced is not None and self.now > self.enforced + 12 else "Verifying"
        told = Told("k", "WouldAct", "would EvictPod", False, shop.LEAKING)
        return Observation(
            services=services,
            told=(told,) if self.exhausted or self.enforced is not None else (),
            actions=({**record, "result": result},) if self.replaced else (),
            outcomes={shop.LEAKING: OUTCOME} if self.enforced is not None and self.now > self.enforced + 40 else {},
            mode="Observe" if self.enforced is None else "Enforce",
        )

    def _state(self, name: str) -> ServiceState:
        pod = "new" if name == shop.LEAKING and self.replaced else "old"
        used = 199.0 if name == shop.LEAKING and self.exhausted else 20.0
        return ServiceState(Pod(pod, f"uid-{pod}", "", True, 0), Levels(used, 200, 30), "Healthy")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=made.sleep, monotonic=lambda: made.now))
    monkeypatch.setattr(watch, "look", made.look)
    monkeypatch.setattr(watch, "read_access_log", made.read_access_log)
    monkeypatch.setattr(shop, "send_load", made.send_load)
    monkeypatch.setattr(shop, "enforce", made.enforce)
    return made


def test_a_leak_is_watched_then_acted_on_then_proven_gone(world: World) -> None:
    account = story.tell(Audience())
    assert [check.claim for check in checks(account) if not check.good] == []
    assert set(account.before.recent[shop.LEAKING]) == {502}
    assert set(account.after.recent[shop.LEAKING]) == {200}


def test_the_audience_reads_what_is_going_on(world: World) -> None:
    audience = Audience()
    story.tell(audience)
    sentences = list(dict.fromkeys(scene.now for scene in audience.scenes))
    assert sentences == [
        "the load begins",
        "bodyleak leaks, users do not notice yet",
        "bodyleak fails its users; nothing is changed",
        "waiting for the operator's next tick",
        "the replacement serves; the operator verifies",
        "verified; users get answers again",
    ]
    assert all(len(scene.rows) == 3 for scene in audience.scenes)


def test_a_service_that_does_not_leak_ends_the_story_with_what_was_seen(world: World) -> None:
    world.leaks = False
    with pytest.raises(
        TimedOut, match=r"errors of an exhausted service.*not within.*20\.0 of 200 descriptors.*no action"
    ):
        story.tell(Audience())
    assert world.enforced is None


def test_an_eviction_that_does_not_come_is_not_waited_for_for_ever(world: World) -> None:
    world.evicts = False
    with pytest.raises(TimedOut, match="the eviction, its verification"):
        story.tell(Audience())


def test_a_cluster_that_is_away_for_a_moment_is_asked_again(world: World) -> None:
    world.unreachable = (20.0, 40.0)
    assert checks(story.tell(Audience()))


def test_a_cluster_that_stays_away_ends_the_story(world: World) -> None:
    world.unreachable = (20.0, 1000.0)
    with pytest.raises(KubectlError, match="connection refused"):
        story.tell(Audience())
    assert world.now < 70


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often the load was stopped; nothing real is touched, nor the signals of the test process."""
    calls: list[str] = []

    def stop() -> bool:
        calls.append("stopped")
        return True

    monkeypatch.setattr(demo, "_stop_load", stop)
    monkeypatch.setattr(demo, "signal", SimpleNamespace(signal=lambda *_: None, SIGTERM=15))
    monkeypatch.setattr(demo, "prepare", lambda _: None)
    return calls


def perform(monkeypatch: pytest.MonkeyPatch, outcome: list[str] | BaseException) -> int:
    def performed(_: Screen, _record: Path | None) -> list[str]:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(demo, "perform", performed)
    monkeypatch.setattr(demo, "_keep", lambda _: "demo.log")
    return demo.main([])


@pytest.mark.parametrize(
    ("outcome", "code", "says"),
    [
        ([], 0, ""),
        (["it was evicted"], 1, "error: demo: this should have happened and did not: it was evicted"),
        (KeyboardInterrupt(), 130, "interrupted; the load is stopped"),
        (demo.Terminated(), 143, "interrupted; the load is stopped"),
        (StageFailed("shop", "no nodes", "kubectl get pods"), 1, "error: demo, step shop: no nodes"),
        (ValueError("odd\nthing"), 1, "error: demo: ValueError: odd thing; details: demo.log"),
    ],
)
def test_however_it_ends_the_load_is_stopped_and_a_line_says_why(
    outcome: list[str] | BaseException,
    code: int,
    says: str,
    *,
    stopped: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert perform(monkeypatch, outcome) == code
    assert stopped == ["stopped"]
    errors = capsys.readouterr().err.strip()
    assert errors.startswith(says)
    assert "Traceback" not in errors
    assert len(errors.splitlines()) <= 2


def test_the_last_table_is_kept_where_the_command_line_says(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Path | None] = []

    def performed(_: Screen, record: Path | None) -> list[str]:
        kept.append(record)
        return []

    monkeypatch.setattr(demo, "perform", performed)
    assert demo.main(["--record", "docs/pictures/demo.json"]) == 0
    assert kept == [Path("docs/pictures/demo.json")]


def test_interrupted_before_the_load_there_is_none_to_stop(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: Screen) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "prepare", interrupted)
    assert demo.main([]) == 130
    assert stopped == []
    assert "no load ran" in capsys.readouterr().err
