{{/* What the operator reads and reports, wherever Resources and Groups count. What a list lacks it asks for by its name. */}}
{{- define "sallyport.watchRules" -}}
- apiGroups: [sallyport.dev]
  resources: [remotenetworks, connectors, resources, groups, relays]
  verbs: [get, list, watch]
- apiGroups: [sallyport.dev]
  resources: [remotenetworks/status, connectors/status, resources/status, groups/status, relays/status]
  verbs: [patch]
# Resources of annotated Services are its children.
- apiGroups: [sallyport.dev]
  resources: [resources]
  verbs: [create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What it makes where it manages: the children of RemoteNetworks, Connectors and Relays. */}}
{{- define "sallyport.managedRules" -}}
- apiGroups: [sallyport.dev]
  resources: [connectors]
  verbs: [create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# Services are read with what is declared.
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}

{{/* What it needs in its own namespace beside that. */}}
{{- define "sallyport.ownRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ .Release.Name }}-operator]
  verbs: [get, update]
# How to log in: URL and pin of the Controller.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ .Release.Name }}-login]
  verbs: [get, list, watch, create, patch]
{{- end }}

{{/* A Role of the operator and its binding: (dict "root" $ "namespace" ns "name" name "rules" template). */}}
{{- define "sallyport.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "sallyport.labels" (list .root "operator") | nindent 4 }}
rules:
  {{- include .rules .root | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "sallyport.labels" (list .root "operator") | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .root.Release.Name }}-operator
    namespace: {{ .root.Release.Namespace }}
{{- end }}
