{{/* Secret that vouches for a Controller elsewhere; empty for none. */}}
{{- define "sallyport.controllerCA" -}}
{{- if not .Values.controller.enabled -}}
{{ .Values.controller.external.caSecret }}
{{- end }}
{{- end }}

{{/* Whether others make the installation's CA. */}}
{{- define "sallyport.waitsForCA" -}}
{{- if or .Values.authority.provided .Values.certManager.enabled }}true{{ end }}
{{- end }}

{{/* Whether people see a certificate of the installation's CA, and not that of a proxy in front of the Controller or of a public CA. */}}
{{- define "sallyport.pinsLogin" -}}
{{- $controller := .Values.controller }}
{{- if not $controller.enabled }}
{{- with $controller.external.caSecret }}true{{ end }}
{{- else if not (or $controller.ingress.enabled (and $controller.gateway.enabled (eq $controller.gateway.route "HTTPRoute"))) }}true{{ end }}
{{- end }}

{{/* Settings of the operator, by variable. */}}
{{- define "sallyport.operatorSettings" -}}
{{- $service := printf "%s-controller" .Release.Name }}
SALLYPORT_RELEASE: {{ .Release.Name }}
SALLYPORT_NAMESPACE: {{ .Release.Namespace }}
SALLYPORT_CONTROLLER_URL: {{ include "sallyport.controllerURL" . }}
SALLYPORT_CONTROLLER_AUDIENCE: {{ include "sallyport.audience" . }}
{{- with include "sallyport.publicURL" . }}
SALLYPORT_CONTROLLER_PUBLIC_URL: {{ . }}
{{- end }}
{{- if not (include "sallyport.pinsLogin" .) }}
SALLYPORT_LOGIN_PIN: false
{{- end }}
{{- if .Values.controller.enabled }}
{{- if not (include "sallyport.publicURL" .) }}
SALLYPORT_CONTROLLER_SERVICE: {{ $service }}
{{- end }}
SALLYPORT_CONTROLLER_NAMES: {{ printf "%s,%s.%s,%s.%s.svc.%s" $service $service .Release.Namespace $service .Release.Namespace .Values.clusterDomain }}
{{- end }}
{{- with include "sallyport.controllerCA" . }}
SALLYPORT_CONTROLLER_CA_FILE: /etc/sallyport/controller-ca/ca.crt
{{- end }}
{{- if include "sallyport.waitsForCA" . }}
SALLYPORT_CERTIFICATES: provided
{{- end }}
SALLYPORT_MANAGED_NAMESPACES: {{ include "sallyport.managed" . | fromJsonArray | join "," }}
{{- with .Values.operator.watchNamespaces }}
SALLYPORT_WATCH_NAMESPACES: {{ join "," . }}
{{- end }}
SALLYPORT_CLUSTER_DOMAIN: {{ .Values.clusterDomain }}
SALLYPORT_CONNECTOR_IMAGE: {{ include "sallyport.image" (list . "connector") }}
SALLYPORT_RELAY_IMAGE: {{ include "sallyport.image" (list . "relay") }}
{{- with .Values.images.pullSecrets }}
SALLYPORT_IMAGE_PULL_SECRETS: {{ join "," . }}
{{- end }}
SALLYPORT_RESYNC_SECONDS: {{ int .Values.operator.resyncSeconds }}
SALLYPORT_REMOVAL_WAIT_SECONDS: {{ int .Values.operator.removalWaitSeconds }}
SALLYPORT_LOG_LEVEL: {{ .Values.operator.logLevel }}
{{- end }}

{{/* The same as variables of a container. */}}
{{- define "sallyport.operatorEnv" -}}
{{- range $name, $value := include "sallyport.operatorSettings" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
