"""`spec.evidence`: what is taken from a leaking pod before it is acted on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leakwarden.api.v1alpha1.schema import Duration, Model, Within


class EphemeralContainer(Model):
    """A container of Leakwarden's that is added to the leaking pod and looks around in it."""

    enabled: bool = Field(
        default=False,
        description="Whether an ephemeral container may be added to a pod that is about to be acted on, to read from"
        " /proc what its process holds open: sockets by TCP state and far end, files by name, pipes, eventfds. It runs"
        " the operator's image for a second or two, as the container's own user, without capabilities or network access"
        " of its own. Needs mode Enforce and evidence.descriptors.enabled in the chart's values, and a container runtime"
        " that lets it see the other container's processes (containerd, CRI-O). Hazards: an ephemeral container cannot be"
        " removed, it stays listed in the pod until the pod ends; its few MiB of memory count as the pod's; names of"
        " files and addresses of peers come into the LeakReport. Default false.",
    )


class DescriptorEvidence(Model):
    """Open descriptors by type, as lsof would show them."""

    ephemeral_container: EphemeralContainer = Field(
        default=EphemeralContainer(),
        description="The one way to them: nothing is claimed of a pod's descriptors unless this is enabled.",
    )


class LogEvidence(Model):
    """Lines of a pod's log that speak of a cause."""

    enabled: bool = Field(
        default=False,
        description="Whether the logs of the Deployment's pods are looked at, while a pod leaks and users get errors, for"
        " known errors such as too many open files or a refused connection: in the Loki of the chart's values, or in the"
        " last 5,000 lines or 512 KiB of at most three pods. Needs that Loki, or evidence.logs.enabled in the chart's"
        " values, which grants `get pods/log`. They are counted by kind; of each kind the first three lines are kept in the LeakReport, with what looks like a secret cut out."
        " Hazard: what a log says of users may come into the LeakReport with these lines. Default false.",
    )


class Evidence(Model):
    """Profiles that name the leaking line before a restart destroys them."""

    enabled: bool = Field(
        default=True,
        description="Whether profiles of a leaking pod are taken (GET, one pod at a time, with a timeout and a size cap)."
        " Only from a port that is known to serve them: port below, the pod's annotation leakwarden.dev/pprof-port, or a"
        " container port named pprof or debug. Default true.",
    )
    required: bool = Field(
        default=False,
        description="Whether an action waits for evidence: while true, nothing is done to a pod whose profiles could not"
        " be taken. Hazard: a leak whose pprof port does not answer is then never remediated. Default false.",
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="The port that serves /debug/pprof, from 1 to 65535. Default: from the pod's annotation or its named container ports.",
    )
    path: str = Field(
        default="/debug/pprof",
        min_length=1,
        max_length=256,
        pattern=r"^/[^\s?#]*$",
        description="The path that the profiles are under. Default /debug/pprof.",
    )
    cooldown: Annotated[Duration, Within("0s", "7d")] = Field(
        default="10m",
        description="The least time between two captures from one Deployment. At most 7d. Default 10m.",
    )
    descriptors: DescriptorEvidence = Field(
        default=DescriptorEvidence(),
        description="Which descriptors a leaking pod holds, by type: read once, right before it is acted on. Off by default.",
    )
    logs: LogEvidence = Field(
        default=LogEvidence(),
        description="Lines of the pods' logs that speak of why users get errors. Off by default.",
    )
