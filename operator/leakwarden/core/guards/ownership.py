"""The other owners of a Deployment's replicas or template: they would revert our change."""

from __future__ import annotations

# The marks of GitOps tools on the objects that they apply. Argo CD's older one, app.kubernetes.io/instance, is written
# by Helm as well and proves nothing.
from leakwarden.api.names import ARGO_TRACKING as ARGO
from leakwarden.core.model.workload import Workload

_FLUX_KUSTOMIZE = "kustomize.toolkit.fluxcd.io/name"
_FLUX_HELM = "helm.toolkit.fluxcd.io/name"


def gitops_owner(workload: Workload) -> str:
    """The GitOps application that applies the Deployment, in words; empty where none does."""
    for key in ARGO:
        if value := workload.annotations.get(key) or workload.labels.get(key):
            return f"the Argo CD application {value.split(':')[0][:80]}"
    if value := workload.labels.get(_FLUX_KUSTOMIZE):
        return f"the Flux Kustomization {value}"
    if value := workload.labels.get(_FLUX_HELM):
        return f"the Flux HelmRelease {value}"
    return ""


def owner(workload: Workload) -> str:
    """The owner that reconciles the Deployment, in words: a GitOps application, or an operator's own object."""
    return gitops_owner(workload) or (f"the {workload.owner} that controls it" if workload.owner else "")
