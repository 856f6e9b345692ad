{{/* controller.json. */}}
{{- define "sallyport.controllerConfig" -}}
{{- $controller := .Values.controller -}}
{{- $own := dict
    "jwks" "inCluster"
    "subject" (printf "system:serviceaccount:%s:%s-operator" .Release.Namespace .Release.Name)
    "audience" (include "sallyport.audience" .)
    "source" (printf "%s/%s" .Release.Namespace .Release.Name) -}}
{{- $first := dict
    "name" "default"
    "operators" (prepend .Values.operators $own)
    "identityProviders" .Values.identityProviders
    "admins" .Values.admins
    "adminGroups" .Values.adminGroups -}}
{{- $tenants := list -}}
{{- range prepend .Values.tenants $first -}}
  {{- $tenant := . -}}
  {{- $providers := list -}}
  {{- range .identityProviders | default list -}}
    {{- $provider := omit . "clientSecret" -}}
    {{- if .clientSecret -}}
      {{- $provider = set $provider "clientSecretFile" (printf "/var/run/sallyport/identity-provider/%s.%s" $tenant.name .name) -}}
    {{- end -}}
    {{- $providers = append $providers $provider -}}
  {{- end -}}
  {{- $tenants = append $tenants (set (omit $tenant "identityProviders") "identityProviders" $providers) -}}
{{- end -}}
{{- $config := pick $controller "acl" "certificates" "login" "enrolment" "relayKeys" "signingKeys" "clockLeewaySeconds" "logLevel" -}}
{{- $config = merge $config (dict
    "listen" "[::]:8443"
    "metricsListen" "[::]:9090"
    "database" (dict "path" "/var/lib/sallyport/controller.sqlite")
    "storeKeyFile" "/var/run/sallyport/store-key/key"
    "tls" (dict "certFile" "/var/run/sallyport/tls/tls.crt" "keyFile" "/var/run/sallyport/tls/tls.key")
    "tenants" $tenants) -}}
{{- $url := include "sallyport.publicURL" . -}}
{{- if $url -}}
  {{- $config = set $config "url" $url -}}
{{- else -}}
  {{- $config = set $config "urlFile" "/var/run/sallyport/login/url" -}}
{{- end -}}
{{ toPrettyJson $config }}
{{- end }}

{{/* Client secrets of the identity providers as sources of a projected volume, as JSON; null when there are none. */}}
{{- define "sallyport.clientSecrets" -}}
{{- $sources := list -}}
{{- $first := dict "name" "default" "identityProviders" .Values.identityProviders -}}
{{- range prepend .Values.tenants $first -}}
  {{- $tenant := .name -}}
  {{- range .identityProviders | default list -}}
    {{- if .clientSecret -}}
      {{- $item := dict "key" .clientSecret.key "path" (printf "%s.%s" $tenant .name) -}}
      {{- $sources = append $sources (dict "secret" (dict "name" .clientSecret.name "items" (list $item))) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{ $sources | toJson }}
{{- end }}
