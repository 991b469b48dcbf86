"""Volumes, and the ConfigMaps, Secrets and claims that a pod cannot start without."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.pods_allowed import allowed_pods, rolls
from leakwarden.core.audit.related import Claim, Missing
from leakwarden.core.audit.subject import Subject
from leakwarden.core.model.workload import Container, Volume

_ONE_POD = "ReadWriteOncePod"
_ONE_NODE = "ReadWriteOnce"


def claim_held_by_one(subject: Subject) -> Iterator[Defect]:
    """Several pods need a claim that one pod or one node may hold.

    A ReadWriteOncePod claim is mounted by one pod at a time, a ReadWriteOnce claim by the pods of one node. More
    replicas than one wait for ever as soon as they are on another node. A rollout that starts the new pod before the
    old one has ended (maxSurge above 0 with maxUnavailable 0, which the defaults come to for up to three replicas) hangs the
    same way. A StatefulSet with volumeClaimTemplates has a claim for each pod.

    Mend:
        strategy: {type: Recreate}   # and replicas: 1; or a StatefulSet with volumeClaimTemplates, or ReadWriteMany

    Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes
    """
    workload, related = subject.workload, subject.related
    if not workload.replicas or workload.kind in ("Job", "CronJob", "Pod"):
        return
    claims = {claim.identity.name: claim for claim in (related.claims if related else ())}
    most = max((scaler.maximum or 1 for scaler in related.scalers), default=0) if related else 0
    for volume in workload.pods.volumes:
        if volume.kind != "claim":
            continue
        claim = claims.get(volume.references[0].name)
        held = _held(claim)
        if claim is None or not held or (held == _ONE_NODE and workload.pods.pinned):
            continue
        severity = Severity.ERROR if held == _ONE_POD else Severity.WARNING
        where = "one pod at a time" if held == _ONE_POD else "the pods of one node"
        why = _why(subject, most)
        if why:
            yield Defect(
                severity,
                f"the claim {claim.identity.name} is {held} and can be mounted by {where}, but {why}",
                "replicas: 1 with strategy: {type: Recreate}; or a StatefulSet with volumeClaimTemplates; or a claim with"
                " ReadWriteMany",
                field="@pod.volumes",
            )


def _held(claim: Claim | None) -> str:
    """The access mode that excludes a second pod; empty where none does, or where that is not known."""
    if claim is None or not claim.modes or not {*claim.modes} <= {_ONE_POD, _ONE_NODE}:
        return ""
    return _ONE_POD if _ONE_POD in claim.modes else _ONE_NODE


def _why(subject: Subject, most: int) -> str:
    workload = subject.workload
    if workload.kind == "DaemonSet":
        return "a DaemonSet has a pod on every node"
    if workload.replicas > 1:
        return f"replicas is {workload.replicas}: the others wait with a Multi-Attach error or unscheduled"
    if most > 1:
        return f"an autoscaler may ask for {most} pods: the others wait with a Multi-Attach error or unscheduled"
    if rolls(workload):
        unavailable, surge = allowed_pods(workload)
        if surge and not unavailable:
            return (
                f"a rollout starts the new pod first (maxSurge {workload.max_surge}, maxUnavailable"
                f" {workload.max_unavailable} of {workload.replicas}): it waits for the claim, and the rollout hangs"
            )
    return ""


def memory_volume_unbounded(subject: Subject) -> Iterator[Defect]:
    """A volume in memory has no bound of its own.

    What is written to an emptyDir with medium Memory counts as memory of the containers that write it. Without a
    sizeLimit it may take all of the memory limit, and the container is killed; without a limit as well it may take the
    node's memory.

    Mend:
        emptyDir: {medium: Memory, sizeLimit: 64Mi}   # well below the memory limit

    Source: https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
    """
    for volume in subject.workload.pods.volumes:
        if volume.kind != "memory":
            continue
        limits = [_memory(subject, each) for each in _mounting(subject, volume)]
        least = min((limit for limit in limits if limit is not None), default=None)
        if volume.size_limit is None:
            bounded = least is not None and None not in limits
            yield Defect(
                Severity.INFO if bounded else Severity.WARNING,
                f"the volume {volume.name} is in memory and has no sizeLimit: what is written there "
                + (
                    "may take the whole memory limit, and the container is killed"
                    if bounded
                    else "is bounded by nothing, since a container that mounts it has no memory limit either"
                ),
                "emptyDir: {medium: Memory, sizeLimit: 64Mi}",
                field="@pod.volumes",
            )
        elif least is not None and volume.size_limit >= least:
            yield Defect(
                Severity.WARNING,
                f"the volume {volume.name} is in memory, and its sizeLimit ({_mi(volume.size_limit)}) is not below the"
                f" memory limit ({_mi(least)}): a container is killed before the volume is full",
                f"sizeLimit: {_mi(least / 4)}, or a higher memory limit",
                field="@pod.volumes",
            )


def disk_volume_unfit(subject: Subject) -> Iterator[Defect]:
    """A scratch volume is larger than the storage that the pod may use.

    The kubelet evicts a pod that uses more ephemeral storage than its containers' limits together, so that a sizeLimit
    above them is never reached.

    Mend:
        resources: {limits: {ephemeral-storage: 2Gi}}   # above the sizeLimit of the volumes

    Source: https://kubernetes.io/docs/concepts/storage/ephemeral-storage/
    """
    workload = subject.workload
    limits = [each.disk_limit for each in workload.containers]
    if not limits or None in limits:
        return
    total = sum(limit for limit in limits if limit is not None)
    for volume in workload.pods.volumes:
        if volume.kind == "disk" and volume.size_limit is not None and volume.size_limit > total:
            yield Defect(
                Severity.WARNING,
                f"the volume {volume.name} may hold {_mi(volume.size_limit)}, and the containers' limits of"
                f" ephemeral-storage come to {_mi(total)}: the pod is evicted before the volume is full",
                f"limits: {{ephemeral-storage: {_mi(volume.size_limit * 1.25)}}}, or a smaller sizeLimit",
                field="@pod.volumes",
            )


def reference_missing(subject: Subject) -> Iterator[Defect]:
    """A pod needs a ConfigMap, Secret or claim that is not there.

    The pod cannot start: its volume cannot be mounted, or its container waits in CreateContainerConfigError. With
    optional: true it starts without. A key that a ConfigMap or Secret does not have is the same. Of files, only said
    where other objects of that kind and namespace are among them: of Secrets, which are seldom kept there, as an Info,
    unless one has nearly the same name and is used by nothing.

    Mend: correct the name or the key, add the object, or set optional: true.

    Source: https://kubernetes.io/docs/concepts/configuration/configmap/#using-configmaps
    """
    related = subject.related
    for missing in related.missing if related else ():
        reference = missing.reference
        there = "" if related is not None and related.complete else " among these manifests"
        if reference.key and missing.key_only:
            said = f"{reference.kind} {reference.name} has no key {reference.key}"
            near = f" (it has {', '.join(missing.near)})" if missing.near else ""
        else:
            said = f"{reference.kind} {reference.name} is not there{there}"
            near = f" (did you mean {missing.near[0]}?)" if missing.near else ""
        yield Defect(
            _gravity(missing, bool(related and related.complete)),
            f"the pods need what is not there: {said}{near}. They cannot start without it",
            "the right name or key, the object itself, or optional: true",
            missing.container,
            "@pod" if not missing.container else "env",
        )


def mount_frozen(subject: Subject) -> Iterator[Defect]:
    """A part of a configuration volume is never brought up to date.

    A volume of a ConfigMap or Secret follows its source, but what is mounted by subPath stays as it was when the
    container started: a rotated certificate or password is not seen until the pod is replaced.

    Mend: mount the whole volume at a directory, or restart the pods when the source changes.

    Source: https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath
    """
    followed = {volume.name for volume in subject.workload.pods.volumes if volume.kind == "configuration"}
    for container in subject.containers:
        frozen = sorted({mount.volume for mount in container.mounts if mount.part and mount.volume in followed})
        if frozen:
            yield Defect(
                Severity.INFO,
                f"{', '.join(frozen)} is mounted by subPath: a change of the ConfigMap or Secret is not seen until the"
                " pod is replaced",
                "no subPath, or a restart of the pods with each change",
                container.name,
                "volumeMounts",
            )


def _gravity(missing: Missing, complete: bool) -> Severity:
    if complete or missing.key_only:
        return Severity.ERROR
    if missing.likely or missing.reference.kind == "ConfigMap":
        return Severity.WARNING
    return Severity.INFO


def _mounting(subject: Subject, volume: Volume) -> list[Container]:
    everything = (*subject.workload.containers, *subject.workload.pods.sidecars)
    return [each for each in everything if any(mount.volume == volume.name for mount in each.mounts)]


def _memory(subject: Subject, container: Container) -> float | None:
    own, pods = container.memory_limit, subject.workload.pods.memory_limit
    return own if pods is None else pods if own is None else min(own, pods)


def _mi(count: float) -> str:
    return f"{int(count // 2**20)}Mi" if count >= 2**20 else f"{int(count)}"
