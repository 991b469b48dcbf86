"""Which descriptors a leaking pod holds, read from within on a real node: by TCP state and far end, and by file.

The kubelet, the container runtime and the API server are the real ones, so these tests also prove that an ephemeral
container sees the other container's processes, as that container's user and without capabilities.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from e2e.cluster.progress import say
from e2e.harness import kube
from e2e.harness.kube import Object, apply, attempt, delete, existing, get, listed, may
from e2e.harness.leaks import ENOUGH, LIMIT, leak
from e2e.harness.policies import policy, reports_of, signal, wait_for_action
from e2e.harness.release import NAMESPACE, OPERATOR_VALUES, RELEASE, install_operator
from e2e.harness.stack import pods, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests
from e2e.tests.conftest import a_namespace
from leakwarden.adapters.cluster import ApiCluster, Session
from leakwarden.adapters.evidence.descriptors import PodDescriptors
from leakwarden.adapters.evidence.pods import named
from leakwarden.api.v1alpha1.evidence_reasons import DescriptorReason
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import Attempt, DescriptorsFound, Outcome

pytestmark = pytest.mark.long

READER = "leakwarden-descriptors"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
LOOKING = {"descriptors": {"ephemeralContainer": {"enabled": True}}}
SIGNALS = [signal("Descriptors", "70%", "10s")]
CALLING = [{"type": "Escalate"}]  # the pod stays, so that the added container can be seen


@pytest.fixture(scope="module")
def looking(stack: None, installed: dict[str, str]) -> str:
    """An operator that may look into pods; the image of its reader."""
    values: dict[str, Any] = {**OPERATOR_VALUES, "evidence": {"descriptors": {"enabled": True}}}
    install_operator(RELEASE, NAMESPACE, values)
    installed["operator"] = "looking"
    (container,) = existing("deployment", RELEASE, NAMESPACE)["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


@pytest.fixture(scope="module")
def shop(looking: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Leaking services, each with as many leaks as make it run out soon, and no policy yet."""
    with a_namespace(request.config, "descriptors") as namespace:
        # An upstream that closes idle connections leaves a caller that does not close them with sockets in CLOSE_WAIT.
        objects = manifests.service(manifests.BACKEND, "healthy", namespace, env={"IDLE_TIMEOUT": "5s"})
        for name, program in NAMES.items():
            objects += manifests.service(name, program, namespace, leak_every=1, nofile=LIMIT)
        apply(objects)
        wait_for_rollouts(namespace)
        leak(namespace, *NAMES)
        time.sleep(6)  # the upstream's idle time
        yield namespace


NAMES = {"sockets": "bodyleak", "files": "fileleak", "watched": "fileleak", "evicted": "bodyleak"}


def evidence(namespace: str, name: str, *, read: bool = True) -> Object:
    """The evidence of a Deployment's report; with `read` once the reader has answered or is known not to."""

    def look() -> Object | NotYet:
        found = reports_of(namespace, name)
        if not found:
            return NotYet("no report")
        held: Object = found[0].get("status", {}).get("evidence") or {}
        if read and "finishedAt" not in held.get("descriptorReader", {}):
            return NotYet(json.dumps(held)[:400])
        return held if held else NotYet("no evidence")

    return wait_until(f"the descriptors of {name}", look, 150)


def ephemeral(pod: Object) -> list[Object]:
    return [dict(each) for each in pod["spec"].get("ephemeralContainers", [])]


def test_sockets_that_nobody_closes_are_told_by_state_and_far_end(shop: str) -> None:
    apply(policy("sockets", shop, {"app": "sockets"}, SIGNALS, actions=CALLING, evidence=LOOKING))
    found = evidence(shop, "sockets")
    say(f"sockets: {found['summary']}; {found.get('descriptors')}")
    assert found["descriptorReader"].get("reason", "") == "", found["descriptorReader"]
    upstream = existing("service", manifests.BACKEND, shop)["spec"]["clusterIP"]
    end = f"to {upstream}:{manifests.HTTP_PORT}"
    first = found["descriptors"][0]
    counted = re.fullmatch(rf"(\d+) sockets in (CLOSE_WAIT|ESTABLISHED): (\d+) {re.escape(end)}(, .*)?", first)
    assert counted is not None, first
    assert int(counted[3]) >= ENOUGH
    assert re.search(rf"\d+ sockets, {counted[3]} in {counted[2]} {re.escape(end)}", found["summary"])
    # test_evidence.py checks the line; this test checks the text about it.
    for suspect in found.get("suspects", []):
        if suspect["shape"] == "ResponseBodyNotClosed":
            assert f"Open sockets: {counted[3]} in {counted[2]} {end}." in suspect["explanation"]


def test_the_reader_ran_once_unprivileged_and_ended(shop: str, looking: str) -> None:
    evidence(shop, "sockets")
    (pod,) = pods(shop, "sockets")
    (added,) = ephemeral(pod)
    assert (added["name"], added["image"], added["targetContainerName"]) == (READER, looking, "app")
    assert added["securityContext"]["runAsUser"] == 65532
    assert added["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (status,) = pod["status"]["ephemeralContainerStatuses"]
    ended = status["state"]["terminated"]
    assert ended["exitCode"] == 0
    assert len(ended["message"]) <= 4096
    say(f"the reader ran from {ended['startedAt']} to {ended['finishedAt']} and left {len(ended['message'])} bytes")
    # Many ticks later there is still one, and the service was not restarted for it.
    time.sleep(12)
    (later,) = pods(shop, "sockets")
    assert ephemeral(later) == [added]
    assert [each["restartCount"] for each in later["status"]["containerStatuses"]] == [0]
    assert later["metadata"]["uid"] == pod["metadata"]["uid"]


def test_files_that_nobody_closes_are_told_by_name(shop: str) -> None:
    apply(policy("files", shop, {"app": "files"}, SIGNALS, actions=CALLING, evidence=LOOKING))
    found = evidence(shop, "files")
    say(f"files: {found['summary']}; {found.get('descriptors')}")
    assert found["descriptorReader"].get("reason", "") == "", found["descriptorReader"]
    counted = re.match(r"(\d+) files: (\d+) /tmp/spool-\* \(deleted\)", found["descriptors"][0])
    assert counted is not None, found["descriptors"]
    assert int(counted[2]) >= ENOUGH
    assert f"{counted[2]} files /tmp/spool-* (deleted)" in found["summary"]
    for suspect in found.get("suspects", []):
        if suspect["shape"] == "FileNotClosed":
            assert f"Open files: {counted[2]} /tmp/spool-* (deleted)." in suspect["explanation"]


def test_a_pod_is_looked_into_before_it_is_evicted_and_the_new_one_is_left_alone(shop: str) -> None:
    apply(policy("evicted", shop, {"app": "evicted"}, SIGNALS, evidence=LOOKING))
    record = wait_for_action(shop, "evicted", "evicted", "Done")
    found = evidence(shop, "evicted")
    reader = found["descriptorReader"]
    assert reader.get("reason", "") == "", reader
    assert reader["intendedAt"] <= reader["finishedAt"] <= record["intendedAt"]
    assert "sockets in" in found["descriptors"][0]
    wait_for_rollouts(shop, "evicted")
    (fresh,) = pods(shop, "evicted")
    assert fresh["metadata"]["uid"] != record["podUID"]
    assert ephemeral(fresh) == []


def test_where_it_is_only_observed_no_pod_is_changed(shop: str) -> None:
    apply(policy("watched", shop, {"app": "watched"}, SIGNALS, mode="Observe", evidence=LOOKING))
    found = evidence(shop, "watched", read=False)
    time.sleep(15)
    assert "descriptorReader" not in found
    (pod,) = pods(shop, "watched")
    assert ephemeral(pod) == []


def test_the_right_to_look_into_pods_is_no_right_to_run_anything_else_in_them(shop: str, looking: str) -> None:
    account = f"{NAMESPACE}:{RELEASE}"
    assert may(account, "patch", "pods", shop, "ephemeralcontainers")
    for verb, subresource in (
        ("create", "exec"),
        ("get", "log"),
        ("update", "ephemeralcontainers"),
        ("create", "attach"),
    ):
        assert not may(account, verb, "pods", shop, subresource), subresource
    pod = pods(shop, "watched")[0]["metadata"]["name"]
    command = ("python3", "-IB", "-m", "leakwarden.adapters.procfs")

    def debug(name: str, image: str, *options: str, run: tuple[str, ...] = command) -> str:
        done = attempt(
            "kubectl", "debug", pod, "-n", shop, f"--as={ACCOUNT}", f"--image={image}", "-c", name, "--target=app",
            "--profile=restricted", *options, "--", *run,
        )  # fmt: skip
        return "" if done.succeeded else done.errors

    for refused in (
        debug("shell", looking),
        debug(READER, "localhost/leakwarden-e2e/services:dev"),
        debug(READER, looking, "--env=A=B"),
        debug(READER, looking, run=("sleep", "1000")),
        debug(READER, looking),  # without its arguments, and as kubectl's profile has it
    ):
        assert "ValidatingAdmissionPolicy" in refused, refused
        assert "leakwarden" in refused
    held = get("pod", pod, shop)
    assert held is not None
    assert ephemeral(held) == []


# : Kinds of containers, by the name of the pod: its own securityContext, and the user that the reader is to have.
KINDS: dict[str, tuple[Object, int]] = {
    "root": ({"runAsUser": 0}, 0),
    "bare-root": ({"runAsUser": 0, "capabilities": {"drop": ["ALL"]}}, 0),
    "somebody": ({"runAsUser": 1234, "runAsGroup": 5678}, 1234),
    # The user is in no spec; the runtime reports it.
    "the-images-own": ({}, -1),
}


@pytest.fixture(scope="module")
def kinds(looking: str) -> Iterator[str]:
    """A namespace that admits every pod, with one of each kind, and one of seven containers."""
    name = f"e2e-descriptors-{secrets.token_hex(3)}"
    admitting = {f"pod-security.kubernetes.io/{verb}": "privileged" for verb in ("enforce", "warn")}
    apply(manifests.namespace(name, admitting))
    try:
        apply([a_pod(name, kind, [security]) for kind, (security, _) in KINDS.items()])
        apply(a_pod(name, "many", [{"runAsUser": 1000 + number} for number in range(7)]))

        def run() -> bool | NotYet:
            found = {each["metadata"]["name"]: each["status"].get("phase") for each in listed("pods", name)}
            return True if set(found.values()) == {"Running"} and len(found) == len(KINDS) + 1 else NotYet(str(found))

        wait_until("a pod of each kind to run", run, 90)
        yield name
    finally:
        delete("namespace", name)


def a_pod(namespace: str, name: str, securities: list[Object]) -> Object:
    containers = [
        {
            "name": f"c{number}",
            "image": manifests.SERVICES_IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/healthy", f"-addr=:{8080 + number}", f"-pprof-addr=:{6060 + number}"],
            "securityContext": security,
        }
        for number, security in enumerate(securities)
    ]
    spec = {"containers": containers, "terminationGracePeriodSeconds": 0, "enableServiceLinks": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


@asynccontextmanager
async def administering() -> AsyncIterator[Session]:
    session = await Session.open(kube.provider().environment().kubeconfig)
    try:
        yield session
    finally:
        await session.close()


def read_with(image: str, namespace: str, name: str, container: str = "", timeout: float = 30) -> DescriptorsFound:
    """As the operator reads, without a policy."""

    async def read() -> DescriptorsFound:
        async with administering() as session:
            reader = PodDescriptors(session, ApiCluster(session), image, timeout)
            return await reader.read(known(namespace, name), container, f"{namespace}/{name}")

    return asyncio.run(read())


def known(namespace: str, name: str) -> Pod:
    return replace(named(namespace, name), uid=existing("pod", name, namespace)["metadata"]["uid"])


@pytest.mark.parametrize("kind", list(KINDS))
def test_whoever_a_container_runs_as_is_who_the_reader_runs_as_and_it_sees_it(
    kinds: str, looking: str, kind: str
) -> None:
    found = read_with(looking, kinds, kind)
    (added,) = ephemeral(existing("pod", kind, kinds))
    user = added["securityContext"]["runAsUser"]
    say(f"{kind}: as {user}: {found}")
    assert found.reason is None, found
    assert found.census is not None
    assert (found.census.processes, found.census.kinds["tcp LISTEN"]) == (1, 2)
    assert KINDS[kind][1] in (user, -1)
    assert read_with(looking, kinds, kind) == found, "asked again, nothing is added and the answer is the same"


def test_of_seven_containers_the_named_one_is_seen_and_the_answer_comes_whole(kinds: str, looking: str) -> None:
    found = read_with(looking, kinds, "many", "c5")
    assert found.reason is None, found
    assert found.census is not None
    assert {end for _, end, _ in found.census.ends} >= {":8085", ":6065"}
    (added,) = ephemeral(existing("pod", "many", kinds))
    assert (added["securityContext"]["runAsUser"], added["targetContainerName"]) == (1005, "c5")


def test_a_namesake_of_the_pod_is_given_nothing(kinds: str, looking: str) -> None:
    async def add(pod: Pod) -> Attempt:
        async with administering() as session:
            return await ApiCluster(session).add_ephemeral_container(pod, {"name": READER, "image": looking})

    apply(a_pod(kinds, "stranger", [{}]))
    meant = known(kinds, "stranger")
    attempted = asyncio.run(add(replace(meant, uid="00000000-0000-0000-0000-000000000000")))
    say(f"of another UID: {attempted}")
    assert attempted.outcome is Outcome.GONE
    assert ephemeral(existing("pod", "stranger", kinds)) == []
    assert asyncio.run(add(meant)).outcome is Outcome.DONE, "it was the UID and nothing else"


def test_an_image_that_cannot_be_had_is_told_and_costs_the_timeout(kinds: str) -> None:
    apply(a_pod(kinds, "starved", [{}]))
    wait_until(
        "it to run", lambda: existing("pod", "starved", kinds)["status"].get("phase") == "Running" or NotYet("no"), 60
    )
    found = read_with("localhost/leakwarden-e2e/none:1", kinds, "starved", timeout=8)
    say(f"without an image: {found}")
    assert found.reason is DescriptorReason.NOT_STARTED
    # The answer is the same while the runtime still tries (ContainerCreating) and after it has given up.
    assert re.search(r"did not start within 8s \(\w+\)$", found.message)
