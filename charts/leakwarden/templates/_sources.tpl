{{/* The sources file that the operator reads: the endpoints, with credentials as paths of mounted files. */}}
{{- define "leakwarden.sources" -}}
{{- $sources := dict "prometheus" (list) -}}
{{- range $kind := list "prometheus" "loki" -}}
{{- $endpoints := list -}}
{{- range get $.Values $kind -}}
{{- $directory := printf "%s/%s" (include "leakwarden.credentialsDirectory" $) (include "leakwarden.credentialsOf" (list $kind .name)) -}}
{{- $endpoint := pick . "name" "url" "default" "timeout" "namespaceLabel" "podLabel" "containerLabel" "matchers" "headers" "bearerTokenFile" -}}
{{- if not $endpoint.bearerTokenFile }}{{ $_ := unset $endpoint "bearerTokenFile" }}{{ end -}}
{{- with .bearerToken }}{{ $_ := set $endpoint "bearerTokenFile" (printf "%s/token" $directory) }}{{ end -}}
{{- with .basic -}}
{{- $_ := set $endpoint "basic" (dict "usernameFile" (printf "%s/username" $directory) "passwordFile" (printf "%s/password" $directory)) -}}
{{- end -}}
{{- with .tls -}}
{{- $tls := dict "insecureSkipVerify" (default false .insecureSkipVerify) -}}
{{- with .ca }}{{ $_ := set $tls "caFile" (printf "%s/ca.crt" $directory) }}{{ end -}}
{{- with .client -}}
{{- $_ := set $tls "certFile" (printf "%s/tls.crt" $directory) -}}
{{- $_ := set $tls "keyFile" (printf "%s/tls.key" $directory) -}}
{{- end -}}
{{- $_ := set $endpoint "tls" $tls -}}
{{- end -}}
{{- $endpoints = append $endpoints $endpoint -}}
{{- end -}}
{{- if $endpoints }}{{ $_ := set $sources $kind $endpoints }}{{ end -}}
{{- end -}}
{{- with .Values.alertmanager }}{{ $_ := set $sources "alertmanager" . }}{{ end -}}
{{- $sources | toYaml -}}
{{- end -}}

{{/* The directory of one endpoint's credentials; no endpoint's name holds a dot. */}}
{{- define "leakwarden.credentialsOf" -}}
{{- ternary (index . 1) (printf "%s.%s" (index . 0) (index . 1)) (eq (index . 0) "prometheus") -}}
{{- end -}}

{{- define "leakwarden.credentialsDirectory" -}}
/var/run/secrets/leakwarden
{{- end -}}

{{/*
The entries of one projected volume: a directory for each endpoint, files under fixed names in it.
A whole volume and no subPath: a file mounted by subPath never changes again when its Secret rotates.
*/}}
{{- define "leakwarden.credentials" -}}
{{- $entries := list -}}
{{- range $kind := list "prometheus" "loki" -}}
{{- range get $.Values $kind -}}
{{- $name := include "leakwarden.credentialsOf" (list $kind .name) -}}
{{- with .bearerToken -}}
{{- $item := dict "key" (default "token" .key) "path" (printf "%s/token" $name) -}}
{{- $entries = append $entries (dict "secret" (dict "name" .secretName "items" (list $item))) -}}
{{- end -}}
{{- with .basic -}}
{{- $username := dict "key" (default "username" .usernameKey) "path" (printf "%s/username" $name) -}}
{{- $password := dict "key" (default "password" .passwordKey) "path" (printf "%s/password" $name) -}}
{{- $entries = append $entries (dict "secret" (dict "name" .secretName "items" (list $username $password))) -}}
{{- end -}}
{{- with .tls -}}
{{- with .ca -}}
{{- $item := dict "key" (default "ca.crt" .key) "path" (printf "%s/ca.crt" $name) -}}
{{- $kind := ternary "secret" "configMap" (hasKey . "secretName") -}}
{{- $entries = append $entries (dict $kind (dict "name" (default .configMapName .secretName) "items" (list $item))) -}}
{{- end -}}
{{- with .client -}}
{{- $cert := dict "key" (default "tls.crt" .certKey) "path" (printf "%s/tls.crt" $name) -}}
{{- $key := dict "key" (default "tls.key" .keyKey) "path" (printf "%s/tls.key" $name) -}}
{{- $entries = append $entries (dict "secret" (dict "name" .secretName "items" (list $cert $key))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $entries }}{{ $entries | toYaml }}{{ end -}}
{{- end -}}
