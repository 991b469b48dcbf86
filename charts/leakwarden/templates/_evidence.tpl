{{/* What evidence.* adds to the operator's Deployment. */}}

{{- define "leakwarden.evidence.check" -}}
{{- $store := .Values.evidence.store -}}
{{- if eq $store.type "bucket" -}}
{{- if not $store.bucket.name -}}{{- fail "evidence.store.bucket.name: name the bucket, since evidence.store.type is bucket" -}}{{- end -}}
{{- if not $store.bucket.credentialsSecret -}}{{- fail "evidence.store.bucket.credentialsSecret: name a Secret with accessKey and secretKey, since evidence.store.type is bucket" -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* "volume", "bucket" or nothing: where profiles go, if any are taken. */}}
{{- define "leakwarden.evidence.store" -}}
{{- if and .Values.evidence.enabled (ne .Values.evidence.store.type "none") }}{{ .Values.evidence.store.type }}{{ end -}}
{{- end -}}

{{/* "true" where pods may be looked into. */}}
{{- define "leakwarden.evidence.looksInside" -}}
{{- if and .Values.evidence.enabled .Values.evidence.descriptors.enabled }}true{{ end -}}
{{- end -}}

{{- define "leakwarden.evidence.readerImage" -}}
{{- default (include "leakwarden.image" .) .Values.evidence.descriptors.image -}}
{{- end -}}

{{- define "leakwarden.evidence.env" -}}
- name: LEAKWARDEN_EVIDENCE_ENABLED
  value: {{ .Values.evidence.enabled | quote }}
{{- if .Values.evidence.enabled }}
- name: LEAKWARDEN_EVIDENCE_VIA
  value: {{ .Values.evidence.via | quote }}
- name: LEAKWARDEN_EVIDENCE_PAUSE
  value: {{ .Values.evidence.pause | quote }}
- name: LEAKWARDEN_EVIDENCE_TIMEOUT
  value: {{ .Values.evidence.timeout | quote }}
- name: LEAKWARDEN_EVIDENCE_MAX_GOROUTINES
  value: {{ .Values.evidence.maxGoroutines | int | quote }}
{{- if .Values.evidence.logs.enabled }}
- name: LEAKWARDEN_EVIDENCE_LOGS
  value: "true"
{{- end }}
{{- if include "leakwarden.evidence.looksInside" . }}
- name: LEAKWARDEN_EVIDENCE_DESCRIPTORS_IMAGE
  value: {{ include "leakwarden.evidence.readerImage" . | quote }}
- name: LEAKWARDEN_EVIDENCE_DESCRIPTORS_TIMEOUT
  value: {{ .Values.evidence.descriptors.timeout | quote }}
{{- end }}
{{- $store := .Values.evidence.store }}
{{- if eq $store.type "volume" }}
- name: LEAKWARDEN_EVIDENCE_DIRECTORY
  value: /var/lib/leakwarden/evidence
- name: LEAKWARDEN_EVIDENCE_DIRECTORY_SIZE
  value: {{ $store.volume.maxSize | quote }}
- name: LEAKWARDEN_EVIDENCE_DIRECTORY_AGE
  value: {{ $store.volume.maxAge | quote }}
{{- else if eq $store.type "bucket" }}
- name: LEAKWARDEN_EVIDENCE_BUCKET
  value: {{ $store.bucket.name | quote }}
- name: LEAKWARDEN_EVIDENCE_BUCKET_ENDPOINT
  value: {{ $store.bucket.endpoint | quote }}
- name: LEAKWARDEN_EVIDENCE_BUCKET_REGION
  value: {{ $store.bucket.region | quote }}
- name: LEAKWARDEN_EVIDENCE_BUCKET_PREFIX
  value: {{ $store.bucket.prefix | quote }}
- name: LEAKWARDEN_EVIDENCE_BUCKET_CREDENTIALS
  value: /etc/leakwarden-bucket
{{- end }}
{{- end }}
{{- end -}}

{{- define "leakwarden.evidence.mounts" -}}
{{- if eq (include "leakwarden.evidence.store" .) "volume" }}
- name: evidence
  mountPath: /var/lib/leakwarden/evidence
{{- else if eq (include "leakwarden.evidence.store" .) "bucket" }}
- name: bucket
  mountPath: /etc/leakwarden-bucket
  readOnly: true
{{- end }}
{{- end -}}

{{- define "leakwarden.evidence.volumes" -}}
{{- $store := .Values.evidence.store }}
{{- if eq (include "leakwarden.evidence.store" .) "volume" }}
- name: evidence
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-evidence" (include "leakwarden.fullname" .)) $store.volume.existingClaim }}
{{- else if eq (include "leakwarden.evidence.store" .) "bucket" }}
- name: bucket
  secret:
    secretName: {{ $store.bucket.credentialsSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* "true" where the operator itself connects to pods for profiles. */}}
{{- define "leakwarden.evidence.straight" -}}
{{- if and .Values.evidence.enabled (ne .Values.evidence.via "Proxy") }}true{{ end -}}
{{- end -}}

{{/* The port of the bucket's server, where there is one. */}}
{{- define "leakwarden.evidence.bucketPort" -}}
{{- if eq (include "leakwarden.evidence.store" .) "bucket" }}
{{- $url := urlParse .Values.evidence.store.bucket.endpoint }}
{{- default (ternary "443" "80" (eq $url.scheme "https")) (regexFind ":[0-9]+$" $url.host | trimPrefix ":") }}
{{- end }}
{{- end -}}
