"""One ephemeral container per pod, made to fit it, and the meaning of its answer or its silence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leakwarden.adapters.cluster import ApiCluster
from leakwarden.adapters.cluster.fence import Fence, FencedCluster
from leakwarden.adapters.evidence.descriptors import PodDescriptors
from leakwarden.api.v1alpha1.evidence_reasons import DescriptorReason
from leakwarden.core.descriptors.census import DENIED, NONE, Census, refused, written
from leakwarden.engine.ports import READER_CONTAINER, Cluster, DescriptorsFound
from tests.builders import pod
from tests.integration.cluster.fake_api_objects import session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault, Request

POD = pod()
IMAGE = "localhost/leakwarden:0.1.0"
REPORT = "shop/api-1-abc"
CENSUS = Census(1, 1, 161, True, {"tcp CLOSE_WAIT": 148, "file": 13}, (("CLOSE_WAIT", "10.0.0.9:80", 148),))
ANSWER = written(CENSUS, 4096).decode()


def ended(message: str, code: int = 0) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Completed", "message": message}}


def live(
    *containers: Mapping[str, Any], status: Mapping[str, Any] | None = None, annotations: Any = None, **spec: Any
) -> dict[str, Any]:
    """The pod as an API server has it, all its containers running."""
    chosen = containers or ({"name": "app", "securityContext": {"runAsUser": 65532, "runAsGroup": 65532}},)
    running = [{"name": each["name"], "state": {"running": {}}, **(status or {})} for each in chosen]
    return {
        "metadata": {"name": POD.name, "namespace": "shop", "uid": POD.uid, "annotations": annotations or {}},
        "spec": {"containers": list(chosen), **spec},
        "status": {"phase": "Running", "containerStatuses": running},
    }


@dataclass
class Scene:
    api: FakeApiServer
    reader: PodDescriptors

    async def read(self, container: str = "", report: str = REPORT) -> DescriptorsFound:
        return await self.reader.read(POD, container, report)

    @property
    def patches(self) -> list[Request]:
        return self.api.asked("PATCH")

    @property
    def added(self) -> dict[str, Any]:
        """The one requested container."""
        (request,) = self.patches
        (container,) = request.body["spec"]["ephemeralContainers"]
        return dict(container)


@asynccontextmanager
async def scene(tmp_path: Path, state: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Scene]:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        api.put("pods", changes.pop("pod", None) or live())
        api.ephemeral_state = ended(ANSWER) if state is None else state
        cluster: Cluster = ApiCluster(session)
        if "fence" in changes:
            cluster = FencedCluster(cluster, changes.pop("fence"))
        yield Scene(api, PodDescriptors(session, cluster, IMAGE, **{"timeout": 5.0, **changes}))


async def test_the_reader_is_added_unprivileged_as_the_containers_own_user_and_its_answer_read(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        found = await here.read()
    assert found == DescriptorsFound("app", CENSUS)
    assert here.added == {
        "name": READER_CONTAINER,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-IB", "-m", "leakwarden.adapters.procfs"],
        "args": ["--to", "/dev/termination-log", "--bytes", "4096", "--report", REPORT],
        "targetContainerName": "app",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "runAsNonRoot": True,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"]},
        },
    }
    assert here.patches[0].body["metadata"] == {"uid": POD.uid}


@pytest.mark.parametrize(
    ("running", "user", "group"),
    [
        (live({"name": "app"}, securityContext={"runAsUser": 7, "runAsGroup": 8}), 7, 8),
        (live({"name": "app", "securityContext": {"runAsUser": 9}}, securityContext={"runAsUser": 7}), 9, None),
        (live({"name": "app"}, status={"user": {"linux": {"uid": 1001, "gid": 1002}}}), 1001, 1002),
        (
            live({"name": "app"}, status={"user": {"linux": {"uid": 5, "gid": 6}}}, securityContext={"runAsUser": 7}),
            5,
            6,
        ),
    ],
    ids=["the-pods", "the-containers", "the-runtimes", "the-runtime-knows-best"],
)
async def test_its_user_is_the_containers(tmp_path: Path, running: Any, user: int, group: int | None) -> None:
    async with scene(tmp_path, pod=running) as here:
        await here.read()
    security = here.added["securityContext"]
    assert (security["runAsUser"], security.get("runAsGroup")) == (user, group)


async def test_into_roots_process_it_looks_as_root_with_no_more_than_that_has(tmp_path: Path) -> None:
    own = {"runAsUser": 0, "capabilities": {"drop": ["NET_RAW"]}}
    async with scene(tmp_path, pod=live({"name": "app", "securityContext": own})) as here:
        await here.read()
    security = here.added["securityContext"]
    assert (security["runAsUser"], security["runAsNonRoot"]) == (0, False)
    assert security["capabilities"] == {"drop": ["NET_RAW"]}
    assert security["allowPrivilegeEscalation"] is False


UNFIT = [
    (live({"name": "app"}), "set runAsUser"),
    (live({"name": "app", "securityContext": {"privileged": True, "runAsUser": 1}}), "privileged"),
    (
        live({"name": "app", "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}}),
        "capabilities",
    ),
    (live(hostPID=True), "its node"),
    (live(os={"name": "windows"}), "Windows"),
    (live(*({"name": f"c{n}"} for n in range(60)), securityContext={"runAsUser": 1}), "no room"),
    (live({"name": "app", "securityContext": {"runAsUser": 1}}, status={"state": {"waiting": {}}}), "does not run"),
]


@pytest.mark.parametrize(("running", "why"), UNFIT, ids=[why for _, why in UNFIT])
async def test_a_pod_that_no_reader_fits_is_left_alone_and_told(tmp_path: Path, running: Any, why: str) -> None:
    async with scene(tmp_path, pod=running) as here:
        found = await here.read()
    assert (found.census, found.reason) == (None, DescriptorReason.UNFIT)
    assert why in found.message
    assert here.patches == []


@pytest.mark.parametrize(
    ("named", "annotations", "target"),
    [("", {}, "app"), ("proxy", {}, "proxy"), ("", {"kubectl.kubernetes.io/default-container": "proxy"}, "proxy"),
     ("gone", {"kubectl.kubernetes.io/default-container": "gone"}, "app")],
)  # fmt: skip
async def test_of_several_containers_it_is_the_named_the_marked_or_the_first(
    tmp_path: Path, named: str, annotations: dict[str, str], target: str
) -> None:
    running = live({"name": "app"}, {"name": "proxy"}, annotations=annotations, securityContext={"runAsUser": 1})
    async with scene(tmp_path, pod=running) as here:
        assert (await here.read(named)).target == target
    assert here.added["targetContainerName"] == target
    # A kubelet divides 12 KiB among the messages of all containers.
    assert here.added["args"][3] == "4096"


async def test_in_a_pod_of_many_containers_the_answer_is_as_short_as_it_must_be(tmp_path: Path) -> None:
    names = [{"name": f"c{n}"} for n in range(7)]
    async with scene(tmp_path, pod=live(*names, securityContext={"runAsUser": 1})) as here:
        await here.read()
    assert here.added["args"][3] == str(12 * 1024 // 8)


async def test_asked_again_for_the_same_leak_it_takes_the_answer_that_is_there(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        first = await here.read()
        again = await here.read()
    assert first == again
    assert len(here.patches) == 1


async def test_a_second_leak_of_the_same_pod_is_not_told_the_answer_of_the_first(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.read()
        found = await here.read(report="shop/api-1-def")
    assert (found.census, found.reason) == (None, DescriptorReason.READ_BEFORE)
    assert len(here.patches) == 1


async def test_it_waits_for_the_reader_to_end(tmp_path: Path) -> None:
    async with scene(tmp_path, state={"running": {}}) as here:
        polls = 0

        def end_at_the_third() -> int:
            nonlocal polls
            polls += 1
            return polls

        original = here.api._due

        def due(request: Any) -> Any:
            if request.method == "GET" and end_at_the_third() == 4:
                held = here.api.get("pods", "shop", POD.name)
                assert held is not None
                held["status"]["ephemeralContainerStatuses"][0]["state"] = ended(ANSWER)
            return original(request)

        here.api._due = due  # type: ignore[method-assign]
        found = await here.read()
    assert found.census == CENSUS
    assert polls >= 4


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ({}, DescriptorReason.NOT_STARTED, "did not start"),
        ({"waiting": {"reason": "ErrImagePull", "message": "hunter2"}}, DescriptorReason.NOT_STARTED, "(ErrImagePull)"),
        ({"waiting": {"reason": "hunter2 <b>"}}, DescriptorReason.NOT_STARTED, "did not start"),
        ({"running": {}}, DescriptorReason.NO_ANSWER, "did not end"),
        (ended("", 137), DescriptorReason.NO_ANSWER, "exit code 137"),
        (ended("hunter2"), DescriptorReason.UNREADABLE, "not its document"),
        (ended(ANSWER.replace('"file"', '"hunter2"')), DescriptorReason.UNREADABLE, "is not what it should be"),
        (ended(refused(DENIED).decode()), DescriptorReason.DENIED, "container app"),
        (ended(refused(NONE).decode()), DescriptorReason.UNSEEN, "container app"),
    ],
)
async def test_why_there_is_no_answer_is_a_reason_and_foreign_words_stay_out(
    tmp_path: Path, state: dict[str, Any], reason: DescriptorReason, words: str
) -> None:
    async with scene(tmp_path, state, timeout=1.2) as here:
        found = await here.read()
    assert (found.census, found.reason) == (None, reason)
    assert words in found.message
    assert "hunter2" not in found.message


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=403, message="admission webhook hunter2"), DescriptorReason.REFUSED),
        (Fault(status=422, message="hunter2"), DescriptorReason.REFUSED),
        (Fault(status=409), DescriptorReason.NOT_ADDED),
        (Fault(status=500), DescriptorReason.NOT_ADDED),
        (Fault(cut=True), DescriptorReason.NOT_ADDED),
        (Fault(status=404), DescriptorReason.POD_GONE),
    ],
)
async def test_an_api_server_that_does_not_add_it_is_a_reason(
    tmp_path: Path, fault: Fault, reason: DescriptorReason
) -> None:
    async with scene(tmp_path) as here:
        here.api.fail("PATCH", "ephemeralcontainers", fault)
        found = await here.read()
    assert (found.census, found.reason) == (None, reason)
    assert "hunter2" not in found.message


async def test_a_pod_that_is_gone_replaced_or_unread_is_not_touched(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.api.fail("GET", "/pods/", Fault(status=403))
        assert (await here.read()).reason is DescriptorReason.POD_UNREAD
        here.api.fail("GET", "/pods/", Fault(status=200, body="<html>"))
        assert (await here.read()).reason is DescriptorReason.POD_UNREAD
        here.api.put("pods", {**live(), "metadata": {"name": POD.name, "namespace": "shop", "uid": "another"}})
        assert (await here.read()).reason is DescriptorReason.POD_GONE
        here.api.delete("pods", "shop", POD.name)
        assert (await here.read()).reason is DescriptorReason.POD_GONE
    assert here.patches == []


async def test_a_replica_that_does_not_lead_adds_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path, fence=Fence()) as here:
        found = await here.read()
    assert found.reason is DescriptorReason.NOT_ADDED
    assert here.patches == []
