{{/* What all policies together may do; each value is one setting of the operator. */}}
{{- define "leakwarden.guards.env" -}}
- name: LEAKWARDEN_MAX_CONCURRENT
  value: {{ .Values.guards.maxConcurrent | int | quote }}
- name: LEAKWARDEN_SLOT_TIME
  value: {{ .Values.guards.slotTime | quote }}
- name: LEAKWARDEN_NAMESPACE_POLICIES
  value: {{ .Values.guards.namespacePolicies | int | quote }}
- name: LEAKWARDEN_NAMESPACE_REPORTS
  value: {{ .Values.guards.namespaceReports | int | quote }}
- name: LEAKWARDEN_NAMESPACE_ACTIONS
  value: {{ .Values.guards.namespaceActions | int | quote }}
- name: LEAKWARDEN_CLUSTER_ACTIONS
  value: {{ .Values.guards.clusterActions | int | quote }}
- name: LEAKWARDEN_BUDGET_WINDOW
  value: {{ .Values.guards.window | quote }}
- name: LEAKWARDEN_QUIET_AFTER_START
  value: {{ .Values.guards.quietAfterStart | quote }}
- name: LEAKWARDEN_STORM_ENABLED
  value: {{ .Values.guards.storm.enabled | quote }}
- name: LEAKWARDEN_STORM_ACTIONS
  value: {{ .Values.guards.storm.actions | int | quote }}
- name: LEAKWARDEN_STORM_WORKLOADS
  value: {{ .Values.guards.storm.workloads | int | quote }}
- name: LEAKWARDEN_STORM_WINDOW
  value: {{ .Values.guards.storm.window | quote }}
- name: LEAKWARDEN_STORM_COOLDOWN
  value: {{ .Values.guards.storm.cooldown | quote }}
{{- end -}}
