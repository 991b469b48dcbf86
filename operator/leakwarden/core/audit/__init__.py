"""The static checks on a workload, and the observed answers of its probe endpoints. Pure."""

from leakwarden.core.audit.checks import CHECKS, audit, standard
from leakwarden.core.audit.endpoints import EndpointTarget, endpoint_targets
from leakwarden.core.audit.findings import Check, Finding, Severity
from leakwarden.core.audit.subject import (
    EndpointObservation,
    Skipped,
    Standard,
    main_containers,
    skipped_containers,
)

__all__ = [
    "CHECKS",
    "Check",
    "EndpointObservation",
    "EndpointTarget",
    "Finding",
    "Severity",
    "Skipped",
    "Standard",
    "audit",
    "endpoint_targets",
    "main_containers",
    "skipped_containers",
    "standard",
]
