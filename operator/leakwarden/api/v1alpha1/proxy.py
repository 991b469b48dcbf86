"""`spec.source.proxy`: which proxy stands before the workload, where its errors and its time are counted."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from leakwarden.api.v1alpha1.schema import Duration, Model, Within


class ProxyType(StrEnum):
    INGRESS_NGINX = "IngressNginx"
    ISTIO = "Istio"
    ENVOY = "Envoy"
    ENVOY_GATEWAY = "EnvoyGateway"


class Proxy(Model):
    """The proxy before the policy's Deployments, as its metrics name it."""

    type: ProxyType = Field(
        description="Whose metrics they are: IngressNginx, Istio (as the calling side reports), Envoy (one that runs in this"
        " namespace), EnvoyGateway."
    )
    route: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="The name of the Ingress, of the called workload (Istio), of the cluster (Envoy) or of the HTTPRoute"
        " (EnvoyGateway), all of this namespace. Default: each Deployment's own name.",
    )
    timeout: Annotated[Duration, Within("10ms", "1h")] | None = Field(
        default=None,
        description="How long the proxy waits for an answer; no metric has it, and without it a timeout that is too short"
        " cannot be told from a slow service. From 10ms to 1h. Default: not known.",
    )
