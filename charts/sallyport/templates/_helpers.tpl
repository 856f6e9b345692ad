{{/* Names. Everything of a release begins with its name. */}}
{{- define "sallyport.controllerHost" -}}
{{ .Release.Name }}-controller.{{ .Release.Namespace }}.svc
{{- end }}

{{/* URL of the Controller inside the cluster: what the operator and its Connectors dial. */}}
{{- define "sallyport.controllerURL" -}}
{{- if .Values.controller.enabled -}}
https://{{ include "sallyport.controllerHost" . }}:{{ .Values.controller.service.port }}
{{- else -}}
{{ .Values.controller.external.url }}
{{- end }}
{{- end }}

{{/* `aud` of the operator's token. */}}
{{- define "sallyport.audience" -}}
{{- if .Values.controller.enabled -}}
{{ include "sallyport.controllerURL" . }}
{{- else -}}
{{ .Values.controller.external.audience | default .Values.controller.external.url }}
{{- end }}
{{- end }}

{{/* Public URL of the Controller; empty where the operator derives it. */}}
{{- define "sallyport.publicURL" -}}
{{- with .Values.controller -}}
{{- if .url -}}
{{ trimSuffix "/" .url }}
{{- else if .ingress.enabled -}}
https://{{ .ingress.host }}
{{- else if .gateway.enabled -}}
https://{{ first .gateway.hostnames }}
{{- end }}
{{- end }}
{{- end }}

{{/* Reference of an image: (list $ "operator"). */}}
{{- define "sallyport.image" -}}
{{- $root := first . -}}
{{- $images := $root.Values.images -}}
{{- $image := index $images (last .) -}}
{{- with $images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Labels by which a component's pods are found: (list $ "operator"). */}}
{{- define "sallyport.selector" -}}
app.kubernetes.io/name: sallyport
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* Labels of an object of a component: (list $ "operator"). */}}
{{- define "sallyport.labels" -}}
{{- $root := first . -}}
{{- $own := dict
    "app.kubernetes.io/version" $root.Chart.AppVersion
    "app.kubernetes.io/part-of" "sallyport"
    "app.kubernetes.io/managed-by" $root.Release.Service
    "helm.sh/chart" (printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_")) -}}
{{ toYaml (merge (include "sallyport.selector" . | fromYaml) $own $root.Values.labels) }}
{{- end }}

{{/* Namespaces whose networks and Relays the operator manages, as JSON. */}}
{{- define "sallyport.managed" -}}
{{ prepend .Values.operator.managedNamespaces .Release.Namespace | uniq | toJson }}
{{- end }}

{{/* Whether there may be no ClusterRole. */}}
{{- define "sallyport.rolesOnly" -}}
{{- if .Values.operator.watchNamespaces }}true{{ end }}
{{- end }}

{{/* Name of an object that is not in a namespace: unique in the cluster. */}}
{{- define "sallyport.clusterName" -}}
{{ .Release.Namespace }}:{{ .Release.Name }}
{{- end }}
