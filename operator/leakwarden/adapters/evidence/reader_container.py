"""The ephemeral container that reads open descriptors, made to fit the container that it looks into.

The kernel shows a process's descriptors to those of the same user who have no fewer capabilities, so the reader
runs with the container's own user and without further capabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leakwarden.adapters.cluster.wire import ApiMeta, Wire
from leakwarden.engine.ports import READER_CONTAINER

MESSAGE = "/dev/termination-log"  # Kubernetes' default, which the kubelet mounts writable for whatever user it is
COMMAND = ("python3", "-IB", "-m", "leakwarden.adapters.procfs")
# The size that a kubelet keeps of one message, and of all messages of a pod, in equal parts.
MOST_OF_ONE, MOST_OF_ALL = 4096, 12 * 1024
LEAST = 256  # bytes; a smaller document contains no facts
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


class Unfit(Exception):
    """No reader can be made for this pod; the message is one line for people."""


class ContainerCapabilities(Wire):
    add: list[str] | None = None
    drop: list[str] | None = None


class Security(Wire):
    privileged: bool | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    capabilities: ContainerCapabilities | None = None


class ReaderContainer(Wire):
    name: str
    args: list[str] | None = None
    security_context: Security | None = None


class Os(Wire):
    name: str | None = None


class Spec(Wire, rename={"host_pid": "hostPID", "security_context": "securityContext", "init_containers": "initContainers",
                         "ephemeral_containers": "ephemeralContainers"}):  # fmt: skip
    containers: list[ReaderContainer] | None = None
    init_containers: list[ReaderContainer] | None = None
    ephemeral_containers: list[ReaderContainer] | None = None
    security_context: Security | None = None
    host_pid: bool | None = None
    os: Os | None = None


class LinuxUser(Wire):
    uid: int | None = None
    gid: int | None = None


class User(Wire):
    linux: LinuxUser | None = None


class ContainerRunning(Wire):
    pass


class Waiting(Wire):
    reason: str | None = None


class Terminated(Wire):
    exit_code: int | None = None
    message: str | None = None


class ContainerState(Wire):
    waiting: Waiting | None = None
    running: ContainerRunning | None = None
    terminated: Terminated | None = None


class EphemeralStatus(Wire):
    name: str
    state: ContainerState | None = None
    user: User | None = None


class Statuses(Wire):
    container_statuses: list[EphemeralStatus] | None = None
    ephemeral_container_statuses: list[EphemeralStatus] | None = None


class LivePod(Wire):
    """The fields of a pod that the reader's container depends on, and by which it is found in the pod."""

    metadata: ApiMeta
    spec: Spec | None = None
    status: Statuses | None = None

    def reader(self) -> ReaderContainer | None:
        """The reader that the pod has already."""
        added = (self.spec.ephemeral_containers if self.spec else None) or []
        return next((each for each in added if each.name == READER_CONTAINER), None)

    def state(self) -> ContainerState:
        """The reader's state, empty where the kubelet has not reported it yet."""
        said = (self.status.ephemeral_container_statuses if self.status else None) or []
        return next((each.state for each in said if each.name == READER_CONTAINER and each.state), ContainerState())


def target_of(pod: LivePod, wanted: str) -> str:
    """The container to look into: the one that is named, else the pod's main one as kubectl takes it. Raises Unfit."""
    names = [each.name for each in (pod.spec.containers if pod.spec else None) or ()]
    marked = (pod.metadata.annotations or {}).get(DEFAULT_CONTAINER, "")
    for name in (wanted, marked):
        if name in names:
            return name
    if not names:
        raise Unfit("the pod has no containers")
    return names[0]


def container(pod: LivePod, target: str, image: str, report: str) -> dict[str, Any]:
    """The reader in the form of spec.ephemeralContainers. Raises Unfit."""
    spec = pod.spec or Spec()
    if spec.os is not None and spec.os.name == "windows":
        raise Unfit("a Windows pod has no /proc")
    if spec.host_pid:
        raise Unfit("the pod sees the processes of its node, and those are not to be looked at")
    held = [*(spec.containers or ()), *(spec.init_containers or ()), *(spec.ephemeral_containers or ())]
    size = min(MOST_OF_ONE, MOST_OF_ALL // (len(held) + 1))
    if size < LEAST:
        raise Unfit(f"the pod has {len(held)} containers, which leaves no room for an answer")
    return {
        "name": READER_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(COMMAND),
        "args": ["--to", MESSAGE, "--bytes", str(size), "--report", report],
        "targetContainerName": target,
        "terminationMessagePath": MESSAGE,
        "terminationMessagePolicy": "File",
        "securityContext": _security(pod, spec, target),
    }


@dataclass(frozen=True, slots=True)
class _Found:
    uid: int
    gid: int | None


def _security(pod: LivePod, spec: Spec, target: str) -> dict[str, Any]:
    own = next((each.security_context for each in spec.containers or () if each.name == target), None) or Security()
    status = next((each for each in _statuses(pod) if each.name == target), None)
    if status is None or status.state is None or status.state.running is None:
        raise Unfit(f"container {target} does not run")
    if own.privileged:
        raise Unfit(f"container {target} is privileged, and nothing unprivileged may look into it")
    user = _user(own, spec.security_context or Security(), status)
    dropped: Sequence[str] = ("ALL",)
    if user.uid == 0:
        capabilities = own.capabilities or ContainerCapabilities()
        if capabilities.add:
            raise Unfit(f"container {target} runs as root with capabilities that the reader is not given")
        dropped = capabilities.drop or ()
    return {
        "runAsUser": user.uid,
        **({"runAsGroup": user.gid} if user.gid is not None else {}),
        "runAsNonRoot": user.uid != 0,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **({"capabilities": {"drop": list(dropped)}} if dropped else {}),
    }


def _statuses(pod: LivePod) -> Sequence[EphemeralStatus]:
    return (pod.status.container_statuses if pod.status else None) or ()


def _user(own: Security, pods: Security, status: EphemeralStatus) -> _Found:
    """The container's user: by the runtime's status, else by the pod's securityContext. Where neither has it, it is the
    image's own user, which only the runtime can read."""
    linux = status.user.linux if status.user else None
    if linux is not None and linux.uid is not None:
        return _Found(linux.uid, linux.gid)
    uid = own.run_as_user if own.run_as_user is not None else pods.run_as_user
    if uid is None:
        raise Unfit("who the container runs as is not known; set runAsUser in its securityContext")
    return _Found(uid, own.run_as_group if own.run_as_group is not None else pods.run_as_group)
