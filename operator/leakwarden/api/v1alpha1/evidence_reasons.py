"""Why there is no evidence, or not all of it: one constant per cause, as it is written to `status.evidence.reason` of a
LeakReport. docs/reference/evidence.md is generated from this module.
"""

from __future__ import annotations

from enum import StrEnum


class EvidenceReason(StrEnum):
    """Why a profile, or all of them, are missing. MEANINGS says it in words."""

    # nothing was asked for
    DISABLED = "Disabled"
    COOLDOWN = "CooldownActive"
    NO_PORT = "NoPort"
    POD_GONE = "PodGone"
    POD_UNREAD = "PodUnreadable"
    ADDRESS = "AddressRefused"
    # not all was asked for
    GOROUTINES = "TooManyGoroutines"
    UNKNOWN = "GoroutinesUnknown"
    # the pod, or the way to it, did not give what was asked for
    CLOSED = "PortClosed"
    UNREACHABLE = "Unreachable"
    TIMEOUT = "TimedOut"
    FORBIDDEN = "Refused"
    ABSENT = "NotServed"
    REDIRECT = "Redirected"
    STATUS = "BadStatus"
    LARGE = "TooLarge"
    UNREADABLE = "NotAProfile"
    # all was taken, and then
    NOT_STORED = "NotStored"
    UNPROFILED = "NotCaptured"
    DEFECT = "Defect"


MEANINGS: dict[EvidenceReason, str] = {
    EvidenceReason.DISABLED: "spec.evidence.enabled is false, or the installation takes no profiles.",
    EvidenceReason.COOLDOWN: "Profiles of this Deployment were taken less than spec.evidence.cooldown ago.",
    EvidenceReason.NO_PORT: "No port is known to serve profiles: set spec.evidence.port, annotate the pod with"
    " leakwarden.dev/pprof-port, or name the container port pprof or debug. Ports are never guessed.",
    EvidenceReason.POD_GONE: "The pod is gone, or another one has its name.",
    EvidenceReason.POD_UNREAD: "The API server did not give the pod.",
    EvidenceReason.ADDRESS: "The pod's address is not one of a pod (it is in the host's network, for example), or the path"
    " is not one of a handler.",
    EvidenceReason.GOROUTINES: "More goroutines than the installation's evidence.maxGoroutines; only the heap was profiled.",
    EvidenceReason.UNKNOWN: "Neither a metric nor the pod's own index says how many goroutines there are, nor so what a"
    " profile of them costs; only the heap was profiled.",
    EvidenceReason.CLOSED: "Nobody listens on the port.",
    EvidenceReason.UNREACHABLE: "The connection broke, or what answered does not speak HTTP.",
    EvidenceReason.TIMEOUT: "No whole answer within evidence.timeout.",
    EvidenceReason.FORBIDDEN: "401 or 403, from the pod or, through the pod proxy, from the API server.",
    EvidenceReason.ABSENT: "404: there is no such handler below spec.evidence.path.",
    EvidenceReason.REDIRECT: "The answer leads elsewhere; it is not followed.",
    EvidenceReason.STATUS: "Another status than 200.",
    EvidenceReason.LARGE: "The profile is larger than 8 MiB.",
    EvidenceReason.UNREADABLE: "What came is not a profile in protobuf.",
    EvidenceReason.NOT_STORED: "The profiles were taken and read, but the store did not keep them; the suspects are"
    " named all the same.",
    EvidenceReason.UNPROFILED: "Only the open descriptors were looked at so far.",
    EvidenceReason.DEFECT: "A defect of Leakwarden; its log says more.",
}


class DescriptorReason(StrEnum):
    """Why open descriptors were not read though the policy asks for it. DESCRIPTOR_MEANINGS says it in words."""

    NOT_ALLOWED = "NotAllowed"
    UNFIT = "PodUnfit"
    READ_BEFORE = "ReadBefore"
    POD_GONE = "PodGone"
    POD_UNREAD = "PodUnreadable"
    REFUSED = "Refused"
    NOT_ADDED = "NotAdded"
    NOT_STARTED = "NotStarted"
    NO_ANSWER = "NoAnswer"
    DENIED = "Denied"
    UNSEEN = "NoProcessSeen"
    UNREADABLE = "NotUnderstood"
    DEFECT = "Defect"


DESCRIPTOR_MEANINGS: dict[DescriptorReason, str] = {
    DescriptorReason.NOT_ALLOWED: "The policy asks for it, but the installation does not allow it (chart value"
    " evidence.descriptors.enabled).",
    DescriptorReason.UNFIT: "The reader could not be made to fit: the container's user is not known, it is privileged or it"
    " runs as root with capabilities beyond the usual ones, it does not run, or the pod is a Windows one.",
    DescriptorReason.READ_BEFORE: "The pod holds a reader of an earlier leak already; it cannot be removed, and no second one"
    " is added.",
    DescriptorReason.POD_GONE: "The pod is gone, or another one has its name.",
    DescriptorReason.POD_UNREAD: "The API server did not give the pod.",
    DescriptorReason.REFUSED: "The right to `patch pods/ephemeralcontainers` is missing, or an admission rule refused it.",
    DescriptorReason.NOT_ADDED: "The API server did not add it, or its answer was lost.",
    DescriptorReason.NOT_STARTED: "It did not start within evidence.descriptors.timeout; mostly its image cannot be pulled"
    " with the pod's own pull secrets.",
    DescriptorReason.NO_ANSWER: "It started, and ended without an answer or not within evidence.descriptors.timeout.",
    DescriptorReason.DENIED: "The kernel does not let it look into the container's process, which may have protected itself.",
    DescriptorReason.UNSEEN: "It sees no process but its own: the container runtime did not let it into the other"
    " container's process namespace.",
    DescriptorReason.UNREADABLE: "What it left is not its document.",
    DescriptorReason.DEFECT: "A defect of Leakwarden; its log says more.",
}
