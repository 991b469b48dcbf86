{{/*
Every right the operator has, and why. Reading and telling come first; each right that changes a workload stands
behind the value that also tells the operator it may act. Secrets and nodes are not among them.
*/}}
{{- define "leakwarden.rules" -}}
# Its own policies, and their status as the only thing it writes to them.
- apiGroups: [leakwarden.dev]
  resources: [reliabilitypolicies]
  verbs: [get, list, watch]
- apiGroups: [leakwarden.dev]
  resources: [reliabilitypolicies/status]
  verbs: [get, patch]
# Its LeakReports: the record that is written before and after every action, and deleted when it is old.
- apiGroups: [leakwarden.dev]
  resources: [leakreports]
  verbs: [get, list, watch, create, delete]
- apiGroups: [leakwarden.dev]
  resources: [leakreports/status]
  verbs: [patch]
# Which pods belong to which workload (a Deployment's through its ReplicaSets), and what the audit reads.
- apiGroups: [apps]
  resources: [deployments, replicasets{{ if .Values.workloads.statefulSets }}, statefulsets{{ end }}{{ if .Values.workloads.daemonSets }}, daemonsets{{ end }}]
  verbs: [get, list, watch]
{{- if .Values.workloads.rollouts }}
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [get, list, watch]
{{- end }}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Which disruption budget refused an eviction, so that the Event can name it.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list]
{{- if .Values.audit.neighbours }}
# audit.neighbours: what stands beside the audited workloads, read now and then and never changed. No ConfigMap or Secret.
- apiGroups: [""]
  resources: [services, persistentvolumeclaims]
  verbs: [list]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors, podmonitors]
  verbs: [list]
{{- end }}
{{- if .Values.audit.policyReports }}
# audit.policyReports: one report a namespace with the audit's result, in the API of the two that the cluster serves.
- apiGroups: [openreports.io]
  resources: [reports]
  verbs: [list, create, patch, delete]
- apiGroups: [wgpolicyk8s.io]
  resources: [policyreports]
  verbs: [list, create, patch, delete]
{{- end }}
# Who owns a Deployment's replicas, so that scaling out never fights an autoscaler; without it scaling out is refused.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch]
# Telling: a new Event, or one more in its series.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if and .Values.evidence.enabled (ne .Values.evidence.via "Pod") }}
# evidence.via {{ .Values.evidence.via }}: profiles of pods through the API server.
- apiGroups: [""]
  resources: [pods/proxy]
  verbs: [get]
{{- end }}
{{- if include "leakwarden.evidence.looksInside" . }}
# evidence.descriptors: a reader in a pod that is about to be acted on{{ if .Values.evidence.descriptors.admissionPolicy }}; confined to that reader by the ValidatingAdmissionPolicy of this release{{ end }}.
- apiGroups: [""]
  resources: [pods/ephemeralcontainers]
  verbs: [patch]
{{- end }}
{{- if and .Values.evidence.enabled .Values.evidence.logs.enabled }}
# evidence.logs: the end of a leaking Deployment's logs, where its policy asks for it.
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
{{- end }}
{{- if .Values.actions.evictPod.enabled }}
# actions.evictPod: the Eviction API, which honours disruption budgets; deleting pods is not allowed.
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
{{- end }}
{{- if .Values.actions.rolloutRestart.enabled }}
# actions.rolloutRestart{{ if .Values.actions.rolloutRestart.admissionPolicy }}: confined to one annotation by the ValidatingAdmissionPolicy of this release{{ end }}.
- apiGroups: [apps]
  resources: [deployments{{ if .Values.workloads.statefulSets }}, statefulsets{{ end }}{{ if .Values.workloads.daemonSets }}, daemonsets{{ end }}]
  verbs: [patch]
{{- if .Values.workloads.rollouts }}
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [patch]
{{- end }}
{{- end }}
{{- if .Values.actions.scaleOut.enabled }}
# actions.scaleOut: the replica count, and nothing else of a workload.
- apiGroups: [apps]
  resources: [deployments/scale{{ if .Values.workloads.statefulSets }}, statefulsets/scale{{ end }}]
  verbs: [get, patch]
{{- if .Values.workloads.rollouts }}
- apiGroups: [argoproj.io]
  resources: [rollouts/scale]
  verbs: [get, patch]
{{- end }}
{{- end }}
{{- end -}}

{{/* What ClusterReliabilityPolicies need; neither they nor namespaces have a namespace, hence a ClusterRole. */}}
{{- define "leakwarden.clusterPolicyRules" -}}
# clusterPolicies: the policies of platform teams, and their status as the only thing it writes to them.
- apiGroups: [leakwarden.dev]
  resources: [clusterreliabilitypolicies]
  verbs: [get, list, watch]
- apiGroups: [leakwarden.dev]
  resources: [clusterreliabilitypolicies/status]
  verbs: [get, patch]
# The labels of namespaces: where such a policy holds, and where it may act.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end -}}
