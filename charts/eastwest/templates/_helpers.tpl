{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/*
Names are fixed: there is one mesh in a cluster, and the programs know each
other by them.
*/}}

{{- define "eastwest.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Of a component: (dict "root" $ "component" "controller") */}}
{{- define "eastwest.selector" -}}
app.kubernetes.io/name: eastwest
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "eastwest.labels" -}}
{{ include "eastwest.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What the two Deployments have in common in their pods. */}}
{{- define "eastwest.pod" -}}
{{- $v := index .root.Values .component -}}
serviceAccountName: eastwest-{{ .component }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClass.name }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
terminationGracePeriodSeconds: 20
enableServiceLinks: false
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "eastwest.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- with $v.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* And in their containers. */}}
{{- define "eastwest.container" -}}
{{- $v := index .root.Values .component -}}
image: {{ include "eastwest.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
terminationMessagePolicy: FallbackToLogsOnError
{{- with $v.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
readinessProbe:
  httpGet:
    path: /ready
    port: metrics
  periodSeconds: 2
livenessProbe:
  httpGet:
    path: /live
    port: metrics
  periodSeconds: 10
  failureThreshold: 6
{{- if semverCompare ">=1.30.0-0" .root.Capabilities.KubeVersion.Version }}
{{- /* Until nobody is sent here any more. */}}
lifecycle:
  preStop:
    sleep:
      seconds: 5
{{- end }}
{{- end }}

{{- define "eastwest.podAnnotations" -}}
prometheus.io/scrape: "true"
prometheus.io/port: "15020"
prometheus.io/path: /metrics
{{- with (index .root.Values .component).podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of (dict "root" $ "component" name). */}}
{{- define "eastwest.pdb" -}}
{{- if gt (int (index .root.Values .component).replicas) 1 }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: eastwest-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "eastwest.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "eastwest.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{/* What the pods of the test have in common. */}}
{{- define "eastwest.testPod" -}}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "eastwest.testContainer" -}}
image: {{ include "eastwest.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}
