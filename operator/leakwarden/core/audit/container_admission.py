"""Refusals of the API server about a container and about the volumes of a pod.

Source of the rules: ValidatePodSpec in pkg/apis/core/validation of kubernetes/kubernetes, release 1.34.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.core.audit.written import Refusal, items, mapping
from leakwarden.core.model.quantity import parse_quantity

_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_PULL = frozenset({"Always", "IfNotPresent", "Never"})
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})


def container(body: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    """Checks the image, the resources and the mounts of one container."""
    if body.get("image") in (None, ""):
        yield f"{at}.image", "is missing"
    if (pull := body.get("imagePullPolicy")) not in (None, "", *_PULL):
        yield f"{at}.imagePullPolicy", f"is {str(pull)[:40]!r}; {', '.join(sorted(_PULL))} are allowed"
    for number, port in enumerate(items(body.get("ports"))):
        if (protocol := port.get("protocol")) not in (None, "", *_PROTOCOLS):
            yield f"{at}.ports[{number}].protocol", f"is {str(protocol)[:40]!r}; TCP, UDP or SCTP is needed"
    yield from _resources(mapping(body.get("resources")), f"{at}.resources")
    yield from _mounts(body, at)


def volumes(listed: list[Mapping[str, Any]], at: str) -> Iterator[Refusal]:
    """Checks the names of volumes, and that each has at most one source (a volume without a source is an emptyDir)."""
    seen: set[str] = set()
    for number, volume in enumerate(listed):
        here, name = f"{at}.volumes[{number}]", volume.get("name")
        if name is None or name == "":
            yield f"{here}.name", "is missing"
        elif isinstance(name, str):
            if not _DNS_LABEL.fullmatch(name):
                yield f"{here}.name", f"{name[:60]!r} is not a name: lower case letters, digits and -, at most 63"
            elif name in seen:
                yield f"{here}.name", f"{name!r} is there twice"
            seen.add(name)
        sources = [str(key)[:40] for key, value in volume.items() if key != "name" and value is not None]
        if len(sources) > 1:
            yield here, f"has {len(sources)} sources ({', '.join(sources)}), and one is allowed"
        claim = volume.get("persistentVolumeClaim")
        if isinstance(claim, dict) and not claim.get("claimName"):
            yield f"{here}.persistentVolumeClaim.claimName", "is missing"
        secret = volume.get("secret")
        if isinstance(secret, dict) and not secret.get("secretName"):
            meant = " (it is `name` only in env and in a configMap)" if secret.get("name") else ""
            yield f"{here}.secret.secretName", f"is missing{meant}"


def host_ports(containers: list[Mapping[str, Any]], at: str) -> Iterator[Refusal]:
    """Two containers of one pod may not request the same port of the node."""
    seen: set[tuple[str, str, Any]] = set()
    for number, each in enumerate(containers):
        for position, port in enumerate(items(each.get("ports"))):
            outside = port.get("hostPort")
            if not isinstance(outside, int) or isinstance(outside, bool) or not outside:
                continue
            asked = (str(port.get("protocol") or "TCP"), str(port.get("hostIP") or ""), outside)
            if asked in seen:
                yield f"{at}.containers[{number}].ports[{position}].hostPort", f"{outside} is there twice"
            seen.add(asked)


def _resources(resources: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    limits, requests = mapping(resources.get("limits")), mapping(resources.get("requests"))
    for group, amounts in (("limits", limits), ("requests", requests)):
        for name, value in amounts.items():
            if value is None:
                continue
            amount = parse_quantity(value) if isinstance(value, int | float | str) else None
            if amount is None:
                # A memory limit that cannot be parsed is reported where the workload is read.
                if (group, name) != ("limits", "memory"):
                    yield f"{at}.{group}.{name}", f"{str(value)[:40]!r} is not a quantity; write it like 250m or 512Mi"
            elif amount < 0:
                yield f"{at}.{group}.{name}", f"is {str(value)[:40]} and must not be negative"
    for name, value in requests.items():
        asked, limit = (
            parse_quantity(each) if isinstance(each, int | float | str) else None for each in (value, limits.get(name))
        )
        if asked is not None and limit is not None and asked > limit:
            yield f"{at}.requests.{name}", f"is {value} and must not be above the limit ({limits[name]})"


def _mounts(body: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    seen: set[str] = set()
    for number, mount in enumerate(items(body.get("volumeMounts"))):
        here, path = f"{at}.volumeMounts[{number}]", mount.get("mountPath")
        if not path:
            yield f"{here}.mountPath", "is missing"
        elif isinstance(path, str):
            if path in seen:
                yield f"{here}.mountPath", f"{path[:60]!r} is there twice"
            seen.add(path)
        for name in ("subPath", "subPathExpr"):
            inside = mount.get(name)
            if isinstance(inside, str) and (inside.startswith("/") or ".." in inside.split("/")):
                yield f"{here}.{name}", f"{inside[:60]!r} must be a relative path without .."
