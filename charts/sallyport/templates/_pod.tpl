{{/* Metadata of a workload's pods: (dict "root" $ "component" "operator" "values" .Values.operator "annotations" dict). */}}
{{- define "sallyport.podMetadata" -}}
{{- $own := include "sallyport.selector" (list .root .component) | fromYaml }}
labels:
  {{- /* No version of the chart: a change of it alone is no reason to restart. */}}
  {{- toYaml (merge $own .values.podLabels .root.Values.labels) | nindent 2 }}
{{- with merge (dict) .values.podAnnotations (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What all pods of the chart have in common; arguments as above. */}}
{{- define "sallyport.podSpec" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Spread over nodes, unless the values say otherwise; arguments as above. */}}
{{- define "sallyport.spread" -}}
{{- $default := list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- $selector := dict "matchLabels" (include "sallyport.selector" (list .root .component) | fromYaml) -}}
topologySpreadConstraints:
{{- range .values.topologySpreadConstraints | default $default }}
  - {{- toYaml (merge (dict) . (dict "labelSelector" $selector)) | nindent 4 }}
{{- end }}
{{- end }}

{{/* What all containers of the chart have in common. */}}
{{- define "sallyport.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/*
What lets a pod speak to the API server, as Kubernetes mounts it by itself, but with the shortest life: a token of a ServiceAccount that was
deleted and made again is worth nothing, and is replaced by its age alone.
*/}}
{{- define "sallyport.accountVolume" -}}
- name: account
  projected:
    defaultMode: 288 # 0440
    sources:
      - serviceAccountToken:
          expirationSeconds: 600
          path: token
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                apiVersion: v1
                fieldPath: metadata.namespace
{{- end }}

{{- define "sallyport.accountMount" -}}
- name: account
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}

{{/* CAs that Node.js trusts besides public ones: the variable, its mount and its volume; nothing where there are none. */}}
{{- define "sallyport.trustedCAsEnv" -}}
{{- if .Values.trustedCAs.configMap }}
- name: NODE_EXTRA_CA_CERTS
  value: /etc/sallyport-trusted-cas/{{ .Values.trustedCAs.key }}
{{- end }}
{{- end }}

{{- define "sallyport.trustedCAsMount" -}}
{{- if .Values.trustedCAs.configMap }}
- name: trusted-cas
  mountPath: /etc/sallyport-trusted-cas
  readOnly: true
{{- end }}
{{- end }}

{{- define "sallyport.trustedCAsVolume" -}}
{{- with .Values.trustedCAs }}
{{- if .configMap }}
- name: trusted-cas
  configMap:
    name: {{ .configMap }}
    items:
      - key: {{ .key }}
        path: {{ .key }}
{{- end }}
{{- end }}
{{- end }}

{{/* Probes: health is served over HTTP, beside metrics. */}}
{{- define "sallyport.probes" -}}
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 2
  timeoutSeconds: 5
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}
