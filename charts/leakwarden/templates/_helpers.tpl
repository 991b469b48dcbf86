{{- define "leakwarden.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "leakwarden.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "leakwarden.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "leakwarden.leaderElectionName" -}}
{{- printf "%s-leader-election" (include "leakwarden.fullname" .) -}}
{{- end -}}

{{/* Cluster-scoped objects carry the namespace too: each team may have a release called leakwarden. */}}
{{- define "leakwarden.clusterName" -}}
{{- printf "%s-%s" (include "leakwarden.fullname" .) .Release.Namespace | trunc 253 | trimSuffix "-" -}}
{{- end -}}

{{- define "leakwarden.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "leakwarden.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the account to use, since serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What a Deployment's selector is made of. It cannot be changed on an existing Deployment: never add to it. */}}
{{- define "leakwarden.selectorLabels" -}}
app.kubernetes.io/name: {{ include "leakwarden.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "leakwarden.labels" -}}
{{ include "leakwarden.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: leakwarden
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "leakwarden.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The allowed actions, comma-separated, by the names policies use. */}}
{{- define "leakwarden.actions" -}}
{{- $allowed := list -}}
{{- if .Values.actions.evictPod.enabled }}{{ $allowed = append $allowed "EvictPod" }}{{ end -}}
{{- if .Values.actions.rolloutRestart.enabled }}{{ $allowed = append $allowed "RolloutRestart" }}{{ end -}}
{{- if .Values.actions.scaleOut.enabled }}{{ $allowed = append $allowed "ScaleOut" }}{{ end -}}
{{- join "," $allowed -}}
{{- end -}}

{{/* The kinds that are followed in addition to Deployments, comma-separated, by the names policies use. */}}
{{- define "leakwarden.workloads" -}}
{{- $kinds := list -}}
{{- if .Values.workloads.statefulSets }}{{ $kinds = append $kinds "StatefulSet" }}{{ end -}}
{{- if .Values.workloads.daemonSets }}{{ $kinds = append $kinds "DaemonSet" }}{{ end -}}
{{- if .Values.workloads.rollouts }}{{ $kinds = append $kinds "Rollout" }}{{ end -}}
{{- join "," $kinds -}}
{{- end -}}

{{/* "true" where the kubelets are what is read: allowed, and no Prometheus is configured. */}}
{{- define "leakwarden.readsKubelets" -}}
{{- if and .Values.kubelet.enabled (not .Values.prometheus) }}true{{ end -}}
{{- end -}}

{{/* What a schema can't say; included where it is rendered on every install. */}}
{{- define "leakwarden.check" -}}
{{- if and (eq .Values.image.tag "latest") (not .Values.image.digest) -}}
{{- fail "image.tag: latest is not a version: nodes would run different ones, and a rollback would roll nothing back; name a version or set image.digest" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled: a ServiceMonitor finds its targets through the Service; set metrics.service.enabled too" -}}
{{- end -}}
{{- $names := list -}}
{{- $defaults := list -}}
{{- range $endpoint := .Values.prometheus -}}
{{- if has .name $names -}}{{- fail (printf "prometheus: two entries are called %q; policies choose one by its name" .name) -}}{{- end -}}
{{- if and .bearerToken .bearerTokenFile -}}{{- fail (printf "prometheus %q: give bearerToken or bearerTokenFile, not both" .name) -}}{{- end -}}
{{- if and .basic (or .bearerToken .bearerTokenFile) -}}{{- fail (printf "prometheus %q: give basic or a bearer token, not both: a request has one Authorization header" .name) -}}{{- end -}}
{{- range $header, $_ := .headers -}}
{{- if has (lower $header) (list "authorization" "cookie" "proxy-authorization") -}}{{- fail (printf "prometheus %q: the header %s would be readable in a ConfigMap; use bearerToken or basic, which take a Secret" $endpoint.name $header) -}}{{- end -}}
{{- end -}}
{{- $tls := default dict .tls -}}
{{- with $tls.ca -}}
{{- if eq (hasKey . "secretName") (hasKey . "configMapName") -}}{{- fail (printf "prometheus %q: tls.ca takes one of secretName and configMapName" $endpoint.name) -}}{{- end -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if .default }}{{ $defaults = append $defaults .name }}{{ end -}}
{{- end -}}
{{- if gt (len $defaults) 1 -}}
{{- fail (printf "prometheus: %s are all marked default; mark one" (join ", " $defaults)) -}}
{{- end -}}
{{- end -}}
