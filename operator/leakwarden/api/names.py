"""The names of ours that users, RBAC rules and other tools refer to. Changing one is an API change."""

from __future__ import annotations

GROUP = "leakwarden.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

POLICY_KIND = "ReliabilityPolicy"
POLICY_PLURAL = "reliabilitypolicies"
POLICY_SINGULAR = "reliabilitypolicy"
POLICY_SHORT_NAMES = ("relpol",)
CLUSTER_POLICY_KIND = "ClusterReliabilityPolicy"
CLUSTER_POLICY_PLURAL = "clusterreliabilitypolicies"
CLUSTER_POLICY_SINGULAR = "clusterreliabilitypolicy"
CLUSTER_POLICY_SHORT_NAMES = ("crelpol",)
REPORT_KIND = "LeakReport"
REPORT_PLURAL = "leakreports"
REPORT_SINGULAR = "leakreport"
REPORT_SHORT_NAMES = ("leak",)

CATEGORY = "reliability"

# One field manager per purpose: managedFields then shows which of our parts wrote which field.
FIELD_MANAGER = "leakwarden"
REPORTING_CONTROLLER = f"{GROUP}/operator"

# On a Namespace: whether a ClusterReliabilityPolicy may act there. Any other value, and no label, means that it may not.
ENFORCE_LABEL = f"{GROUP}/enforce"
ENFORCE_ALLOWED = "allowed"
# On a Deployment: any value but "false" keeps every action away from it; the value is the reason shown.
SKIP_ANNOTATION = f"{GROUP}/skip"
# On any object, by Argo CD: the application that it belongs to.
ARGO_TRACKING = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance")
# On a workload: findings of the audit that its owner accepts, each with a reason.
IGNORE_ANNOTATION = f"{GROUP}/ignore"
# On a pod (so in a Deployment's pod template): the port that serves /debug/pprof.
PPROF_PORT_ANNOTATION = f"{GROUP}/pprof-port"
# On a LeakReport, so that `kubectl get leak -l` finds those of one policy or Deployment.
POLICY_LABEL = f"{GROUP}/policy"
# The same for a ClusterReliabilityPolicy: a policy of the namespace may have the same name.
CLUSTER_POLICY_LABEL = f"{GROUP}/cluster-policy"
WORKLOAD_LABEL = f"{GROUP}/workload"
# The key kubectl itself uses, so that `kubectl rollout history` and GitOps ignore rules already know it.
RESTARTED_AT_ANNOTATION = "kubectl.kubernetes.io/restartedAt"
