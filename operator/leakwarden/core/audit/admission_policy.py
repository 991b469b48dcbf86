"""The checks that one manifest alone decides, as a ValidatingAdmissionPolicy: those that CEL can express.

A check is here only where its whole condition fits into CEL on one Deployment. Checks that need another object,
arithmetic on text or a policy's drain time are left to the audit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leakwarden.api.names import SKIP_ANNOTATION
from leakwarden.core.audit.checks import CHECKS
from leakwarden.core.audit.pages import help_uri
from leakwarden.core.audit.services import OF_OBSERVERS

NAME = "leakwarden-audit"

_CONTAINERS = "object.spec.template.spec.containers"
_GRACE = (
    "(has(object.spec.template.spec.terminationGracePeriodSeconds) ?"
    " object.spec.template.spec.terminationGracePeriodSeconds : 30)"
)
_ROLLS = (
    "(!has(object.spec.strategy) || !has(object.spec.strategy.type) || object.spec.strategy.type == 'RollingUpdate')"
)


@dataclass(frozen=True, slots=True)
class CelRule:
    """One check in CEL; `holds` is true of a Deployment that passes it."""

    id: str
    holds: str
    message: str


RULES: tuple[CelRule, ...] = (
    CelRule(
        "LW101",
        f"{_CONTAINERS}.all(c, !has(c.ports) || has(c.readinessProbe) ||"
        f" c.ports.all(p, has(p.name) && p.name.matches('{OF_OBSERVERS}')))",
        "a container with ports has no readiness probe",
    ),
    CelRule(
        "LW113",
        f"(has(object.spec.template.spec.hostNetwork) && object.spec.template.spec.hostNetwork) || {_CONTAINERS}.all(c,"
        " [has(c.livenessProbe) && has(c.livenessProbe.httpGet) && has(c.livenessProbe.httpGet.host) &&"
        " c.livenessProbe.httpGet.host in ['127.0.0.1', 'localhost', '::1'],"
        " has(c.readinessProbe) && has(c.readinessProbe.httpGet) && has(c.readinessProbe.httpGet.host) &&"
        " c.readinessProbe.httpGet.host in ['127.0.0.1', 'localhost', '::1']].all(bad, !bad))",
        "a probe has host 127.0.0.1: the kubelet asks the node itself and not the pod",
    ),
    CelRule(
        "LW201",
        f"{_CONTAINERS}.all(c, !has(c.lifecycle) || !has(c.lifecycle.preStop) || !has(c.lifecycle.preStop.sleep) ||"
        f" c.lifecycle.preStop.sleep.seconds < {_GRACE} || {_GRACE} == 0)",
        "preStop uses up the whole grace period: SIGTERM is followed by SIGKILL",
    ),
    CelRule("LW202", f"{_GRACE} > 0", "terminationGracePeriodSeconds is 0: every request in flight is cut off"),
    CelRule(
        "LW302",
        f"!{_ROLLS} || !has(object.spec.replicas) || object.spec.replicas == 0 || !has(object.spec.strategy) ||"
        " !has(object.spec.strategy.rollingUpdate) || !has(object.spec.strategy.rollingUpdate.maxUnavailable) ||"
        " !(type(object.spec.strategy.rollingUpdate.maxUnavailable) == int ?"
        " object.spec.strategy.rollingUpdate.maxUnavailable >= object.spec.replicas :"
        " object.spec.strategy.rollingUpdate.maxUnavailable == '100%')",
        "maxUnavailable allows a rollout to stop all pods at once",
    ),
    CelRule(
        "LW603",
        f"{_CONTAINERS}.all(c, !has(c.env) || c.env.all(e, e.name != 'GOMEMLIMIT' || !has(e.value) || e.value == '' ||"
        " e.value == 'off' || e.value.contains('$(') || e.value.matches('^[0-9]{1,19}(B|KiB|MiB|GiB|TiB)?$')))",
        "GOMEMLIMIT is not a Go byte count (512MiB, not 512Mi): a Go program refuses to start with it",
    ),
)


def admission_policy(actions: tuple[str, ...] = ("Warn", "Audit")) -> list[dict[str, Any]]:
    """The policy and its binding. `actions` are the responses to a violation; Deny refuses the object.

    Objects that are skipped by annotation are left alone, and a failing expression never prevents an object from being
    applied (failurePolicy Ignore): the audit is advice, and must not stop a deployment by a defect of its own.
    """
    checks = {check.id: check for check in CHECKS}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "failurePolicy": "Ignore",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments"],
                    }
                ]
            },
            "matchConditions": [
                {
                    "name": "not-skipped",
                    "expression": "!has(object.metadata.annotations) ||"
                    f" !('{SKIP_ANNOTATION}' in object.metadata.annotations) ||"
                    f" object.metadata.annotations['{SKIP_ANNOTATION}'] == 'false'",
                }
            ],
            "validations": [
                {
                    "expression": rule.holds,
                    "message": f"{rule.id} {checks[rule.id].name}: {rule.message} ({help_uri(checks[rule.id])})",
                    "reason": "Invalid",
                }
                for rule in RULES
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": NAME},
        "spec": {"policyName": NAME, "validationActions": list(actions)},
    }
    return [policy, binding]
