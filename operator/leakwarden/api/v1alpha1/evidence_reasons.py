"""Why there is no evidence, or not all of it: one constant per cause, which stands in `status.evidence.reason` of a
LeakReport. The README's table is checked against this module by a test.
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
    EvidenceReason.DEFECT: "A defect of Leakwarden; its log says more.",
}
