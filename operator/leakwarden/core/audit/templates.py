"""Checks of one manifest that read its pod template as it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.core.audit.findings import Check, Defect, Severity
from leakwarden.core.audit.overlaps import written_selector
from leakwarden.core.audit.written import count, items, mapping, share

# Commands that come with a distribution, and not with a program that is built by itself.
_OF_A_DISTRIBUTION = frozenset({"sh", "bash", "ash", "dash", "sleep", "curl", "wget", "cat", "nc", "test", "pgrep"})
_BINARIES = ("", "/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin")
_KO_BUILT = re.compile(r"-[0-9a-f]{32}$")  # ko names an image after its import path and the MD5 of it
_WITHOUT_SHELL = re.compile(r"(?:^|[/:._-])(?:distroless|scratch)(?:$|[/:@._-])|(?:^|/)chainguard/static(?:$|[:@])")
_WITH_SHELL = re.compile(r"debug|busybox")
# Proxies that end at once at SIGTERM, by the last part of the image's name, with the flags and variables by which they
# wait. PgBouncer waits for its clients since 1.23.
_PROXIES: Mapping[str, tuple[str, ...]] = {
    "cloud-sql-proxy": ("max-sigterm-delay", "MAX_SIGTERM_DELAY"),
    "gce-proxy": ("term_timeout",),
    "alloydb-auth-proxy": ("max-sigterm-delay", "MAX_SIGTERM_DELAY"),
    "pgbouncer": (),
    "envoy": (),
}
_SERVING = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout"})


def hook_without_shell(body: Mapping[str, Any]) -> Iterator[Defect]:
    """A hook or probe runs a command that its image does not have.

    Images without a distribution (distroless, scratch, chainguard/static, those that ko builds) have neither a shell
    nor sleep. A preStop that cannot be run ends at once, so that SIGTERM comes before traffic has ended; a probe that
    cannot be run fails. Judged by the image's name; an image that has debug or busybox in its name has a shell, and a
    volume over the folder of the command may bring one.

    Mend:
        lifecycle: {preStop: {sleep: {seconds: 5}}}   # Kubernetes 1.30+

    Source: https://github.com/GoogleContainerTools/distroless/blob/main/README.md#debug-images
    """
    at, pod = pod_spec_of(body)
    for group in ("containers", "initContainers"):
        for number, container in enumerate(items(pod.get(group))):
            image = str(container.get("image") or "")
            if not _shell_less(image):
                continue
            mounts = {str(each.get("mountPath")).rstrip("/") for each in items(container.get("volumeMounts"))}
            paths = any(each.get("name") == "PATH" for each in items(container.get("env")))
            hooks = mapping(container.get("lifecycle"))
            for field, handler in (
                *((f"lifecycle.{name}", mapping(hooks.get(name))) for name in ("preStop", "postStart")),
                *((name, mapping(container.get(name))) for name in ("livenessProbe", "readinessProbe", "startupProbe")),
            ):
                command = mapping(handler.get("exec")).get("command")
                first = str(command[0]) if isinstance(command, list) and command else ""
                folder, _, name = first.rpartition("/")
                own = folder not in _BINARIES or name not in _OF_A_DISTRIBUTION
                if own or folder in mounts or (not folder and (paths or mounts & set(_BINARIES))):
                    continue
                effect = (
                    "it ends at once, and SIGTERM comes before traffic has ended"
                    if field == "lifecycle.preStop"
                    else "it always fails"
                )
                yield Defect(
                    Severity.WARNING,
                    f"{field.rpartition('.')[2]} runs {first[:60]}, which the image {image[:100]} by its name does not"
                    f" have: {effect}",
                    "preStop: {sleep: {seconds: 5}}"
                    if field.startswith("lifecycle")
                    else "httpGet or grpc in place of exec",
                    field=f"{at}.{group}[{number}].{field}.exec.command",
                )


def proxy_ends_first(body: Mapping[str, Any]) -> Iterator[Defect]:
    """A proxy ends while the server beside it still needs it.

    All ordinary containers of a pod get SIGTERM together, each after its own preStop. A proxy without a preStop ends
    at once, while the server, whose preStop still runs, goes on getting requests: each one that needs the proxy fails.
    A native sidecar ends after the server, and some proxies have a flag to wait.

    Mend:
        initContainers:
        - name: cloud-sql-proxy
          restartPolicy: Always

    Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#sidecar-containers-and-pod-lifecycle
    """
    at, pod = pod_spec_of(body)
    containers = items(pod.get("containers"))
    waiting = [str(each.get("name")) for each in containers if mapping(each.get("lifecycle")).get("preStop")]
    if body.get("kind") not in _SERVING or not waiting:
        return
    for number, container in enumerate(containers):
        if str(container.get("name")) not in waiting and _ends_at_once(container):
            yield Defect(
                Severity.WARNING,
                f"the proxy has no preStop and ends at SIGTERM, while the container {waiting[0][:63]} still serves in"
                " its preStop and drain: requests that need the proxy fail",
                "under initContainers with restartPolicy: Always; or a preStop longer than the drain of the server",
                field=f"{at}.containers[{number}].lifecycle",
            )


def surge_without_domain(body: Mapping[str, Any]) -> Iterator[Defect]:
    """A rollout needs one more zone than the pods may use.

    With a required anti-affinity two of these pods may not share a domain. Where the node affinity or nodeSelector
    allows no more domains than there are replicas, and maxUnavailable is 0, the new pod fits nowhere and no old pod
    may go: every rollout hangs.

    Mend:
        strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
    """
    spec = mapping(body.get("spec"))
    strategy = mapping(spec.get("strategy"))
    replicas = 1 if spec.get("replicas") is None else count(spec.get("replicas"))
    if not replicas or strategy.get("type") not in (None, "RollingUpdate"):
        return
    rolling = mapping(strategy.get("rollingUpdate"))
    unavailable, surge = (
        _written_share(rolling.get("maxUnavailable"), replicas),
        _written_share(rolling.get("maxSurge"), -replicas),
    )
    if unavailable != 0 or not surge:
        return
    _, pod = pod_spec_of(body)
    labels = {str(k): str(v) for k, v in mapping(mapping(_template(body).get("metadata")).get("labels")).items()}
    affinity = mapping(pod.get("affinity"))
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    for term in items(mapping(affinity.get("podAntiAffinity")).get(required)):
        key, selector = str(term.get("topologyKey")), term.get("labelSelector")
        # With matchLabelKeys (pod-template-hash) only the pods of one revision are kept apart.
        if term.get("matchLabelKeys") or term.get("mismatchLabelKeys") or not isinstance(selector, dict):
            continue
        terms = items(mapping(mapping(affinity.get("nodeAffinity")).get(required)).get("nodeSelectorTerms"))
        domains = _domains(key, terms, mapping(pod.get("nodeSelector")))
        if domains and len(domains) <= replicas and written_selector(selector).selects(labels):
            yield Defect(
                Severity.WARNING,
                f"{replicas} replicas may not share a {key} (required anti-affinity), {len(domains)} are allowed"
                f" ({', '.join(sorted(domains))[:100]}), and maxUnavailable is 0: the new pod fits nowhere, and every"
                " rollout hangs",
                "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}, or a preferred anti-affinity",
            )


def _domains(key: str, terms: list[Mapping[str, Any]], selector: Mapping[str, Any]) -> set[str] | None:
    """The values of the topology key that nodes for these pods may have; None where that is not known."""
    if key in selector:
        return {str(selector[key])}
    found: set[str] = set()
    for term in terms:  # one of the terms has to hold, and all expressions in it
        among = [
            each.get("values")
            for each in items(term.get("matchExpressions"))
            if each.get("key") == key and each.get("operator") == "In"
        ]
        if not among or not isinstance(among[0], list):
            return None
        found |= {str(value) for value in among[0]}
    return found or None


def _ends_at_once(container: Mapping[str, Any]) -> bool:
    name, _, tag = str(container.get("image") or "").partition("@")[0].rpartition("/")[2].partition(":")
    if name not in _PROXIES:
        return False
    if name == "pgbouncer":
        version = re.match(r"v?(\d+)\.(\d+)", tag)
        return version is not None and (int(version[1]), int(version[2])) < (1, 23)
    said = [str(each) for key in ("command", "args") for each in (container.get(key) or ())]
    said += [str(each.get("name")) for each in items(container.get("env"))]
    return not any(flag in each for flag in _PROXIES[name] for each in said)


def _shell_less(image: str) -> bool:
    if _WITH_SHELL.search(image):
        return False
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    built = image.startswith(("ko://", "ko.local/")) or _KO_BUILT.search(name) is not None
    return built or _WITHOUT_SHELL.search(image) is not None


def _written_share(value: Any, replicas: int) -> int | None:
    """Pods of a written maxUnavailable; with a negative number of replicas of a maxSurge, which is rounded up."""
    if value is None:
        value = "25%"
    if isinstance(value, str):
        part = share(value)
        return None if part is None else abs(replicas * part // 100)
    return count(value)


def _template(body: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = mapping(body.get("spec"))
    if body.get("kind") == "CronJob":
        spec = mapping(mapping(spec.get("jobTemplate")).get("spec"))
    return mapping(spec.get("template"))


def pod_spec_of(body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """(the path of the pod's spec, the spec)."""
    if body.get("kind") == "Pod":
        return "spec", mapping(body.get("spec"))
    path = "spec.jobTemplate.spec.template.spec" if body.get("kind") == "CronJob" else "spec.template.spec"
    return path, mapping(_template(body).get("spec"))


HOOK_WITHOUT_SHELL = Check("LW210", "HookWithoutShell", hook_without_shell, "spec")
PROXY_ENDS_FIRST = Check("LW211", "ProxyEndsFirst", proxy_ends_first, "spec", _SERVING)
SURGE_WITHOUT_DOMAIN = Check(
    "LW311", "SurgeWithoutDomain", surge_without_domain, "spec.strategy.rollingUpdate", frozenset({"Deployment"})
)
CHECKS = (HOOK_WITHOUT_SHELL, PROXY_ENDS_FIRST, SURGE_WITHOUT_DOMAIN)
