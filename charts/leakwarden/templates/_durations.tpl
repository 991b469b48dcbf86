{{/* Durations that the operator would refuse at its start are refused here already, while nothing is installed. */}}

{{/* The seconds of a duration such as 1h30m. */}}
{{- define "leakwarden.seconds" -}}
{{- $seconds := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $total := 0.0 -}}
{{- range $part := regexFindAll "[0-9.]+(ms|s|m|h)" . -1 -}}
{{- $unit := regexReplaceAll "[0-9.]" $part "" -}}
{{- $total = addf $total (mulf (regexFind "[0-9.]+" $part | float64) (get $seconds $unit)) -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{/* The least and the most are those of settings.py and sources.py; a test compares. */}}
{{- define "leakwarden.durations.check" -}}
{{- $guards := .Values.guards -}}
{{- $evidence := .Values.evidence -}}
{{- $asked := list
  (list "interval" .Values.interval "1s" "1h")
  (list "bucket" .Values.bucket "1s" "1h")
  (list "guards.slotTime" $guards.slotTime "1m" "24h")
  (list "guards.window" $guards.window "1m" "168h")
  (list "guards.quietAfterStart" $guards.quietAfterStart "0s" "24h")
  (list "guards.storm.window" $guards.storm.window "10s" "24h")
  (list "guards.storm.cooldown" $guards.storm.cooldown "10s" "24h")
  (list "evidence.pause" $evidence.pause "1s" "1m")
  (list "evidence.timeout" $evidence.timeout "1s" "1m")
  (list "evidence.descriptors.timeout" $evidence.descriptors.timeout "2s" "1m")
-}}
{{- if eq (include "leakwarden.evidence.store" .) "volume" -}}
{{- $asked = append $asked (list "evidence.store.volume.maxAge" $evidence.store.volume.maxAge "1h" "") -}}
{{- end -}}
{{- if .Values.metrics.serviceMonitor.enabled -}}
{{- $asked = append $asked (list "metrics.serviceMonitor.interval" .Values.metrics.serviceMonitor.interval "1ms" "") -}}
{{- end -}}
{{- range $kind := list "prometheus" "alertmanager" "loki" -}}
{{- range $endpoint := get $.Values $kind -}}
{{- $asked = append $asked (list (printf "%s %q: timeout" $kind $endpoint.name) $endpoint.timeout "1ms" "5m") -}}
{{- end -}}
{{- end -}}
{{- range $each := $asked -}}
{{- $field := index $each 0 -}}
{{- $value := index $each 1 -}}
{{- $least := index $each 2 -}}
{{- $most := index $each 3 -}}
{{- if $value -}}
{{- $seconds := include "leakwarden.seconds" $value | float64 -}}
{{- if lt $seconds (include "leakwarden.seconds" $least | float64) -}}
{{- fail (printf "%s is %s; it must be at least %s" $field $value $least) -}}
{{- end -}}
{{- if and $most (gt $seconds (include "leakwarden.seconds" $most | float64)) -}}
{{- fail (printf "%s is %s; it may be at most %s" $field $value $most) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "leakwarden.leaderElection.check" . -}}
{{- end -}}

{{/* In another order two replicas could lead at once. A time that is left out is the operator's default. */}}
{{- define "leakwarden.leaderElection.check" -}}
{{- $duration := default "15s" .Values.leaderElection.leaseDuration -}}
{{- $deadline := default "10s" .Values.leaderElection.renewDeadline -}}
{{- $retry := default "2s" .Values.leaderElection.retryPeriod -}}
{{- $lasts := include "leakwarden.seconds" $duration | float64 -}}
{{- $renewed := include "leakwarden.seconds" $deadline | float64 -}}
{{- if not (include "leakwarden.seconds" $retry | float64) -}}
{{- fail (printf "leaderElection.retryPeriod is %s; it must be longer" $retry) -}}
{{- end -}}
{{- if not (and (lt (include "leakwarden.seconds" $retry | float64) $renewed) (lt $renewed $lasts)) -}}
{{- fail (printf "leaderElection: retryPeriod (%s) < renewDeadline (%s) < leaseDuration (%s) must hold, or two replicas could lead at once" $retry $deadline $duration) -}}
{{- end -}}
{{- if ne $lasts (floor $lasts) -}}
{{- fail (printf "leaderElection.leaseDuration is %s; a Lease counts in whole seconds" $duration) -}}
{{- end -}}
{{- if gt $lasts 600.0 -}}
{{- fail (printf "leaderElection.leaseDuration is %s; it may be at most 10m" $duration) -}}
{{- end -}}
{{- end -}}
