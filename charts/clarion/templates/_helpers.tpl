{{/* The names are those of MetalLB's chart, so that a release of it can be upgraded in place: its selectors cannot change. */}}
{{- define "clarion.name" -}}
{{- default "metallb" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "clarion.fullname" -}}
{{- $name := include "clarion.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if or (contains $name .Release.Name) (contains "clarion" .Release.Name) }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "clarion.selectorLabels" -}}
app.kubernetes.io/name: {{ include "clarion.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "clarion.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "clarion.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "clarion.controller.serviceAccountName" -}}
{{- default (ternary (printf "%s-controller" (include "clarion.fullname" .)) "default" .Values.controller.serviceAccount.create) .Values.controller.serviceAccount.name }}
{{- end }}

{{- define "clarion.speaker.serviceAccountName" -}}
{{- default (ternary (printf "%s-speaker" (include "clarion.fullname" .)) "default" .Values.speaker.serviceAccount.create) .Values.speaker.serviceAccount.name }}
{{- end }}

{{- define "clarion.secretName" -}}
{{- default (printf "%s-memberlist" (include "clarion.fullname" .)) .Values.speaker.secretName }}
{{- end }}

{{/* Of a dict with root and component: the Secret with its certificate, which had another name in MetalLB's charts before 0.16. */}}
{{- define "clarion.metricsSecret" -}}
{{- $key := printf "%sMetricsTLSSecret" .component }}
{{- default (get .root.Values.prometheus $key) (get .root.Values.tls $key) }}
{{- end }}

{{/* Of a dict with root and image: registry/repository:tag */}}
{{- define "clarion.image" -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end }}{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end }}

{{/* Of a dict with root and component. */}}
{{- define "clarion.priorityClassName" -}}
{{- default (ternary (include "clarion.fullname" .root) "" .root.Values.priorityClass.create) .component.priorityClassName }}
{{- end }}

{{/* Of a dict with root, file and placeholders filled in. */}}
{{- define "clarion.rules" -}}
{{- .root.Files.Get (printf "files/rules/%s.yaml" .file)
  | replace "@MEMBERLIST@" (include "clarion.secretName" .root)
  | replace "@CONTROLLER@" (printf "%s-controller" (include "clarion.fullname" .root)) | trim }}
{{- end }}

{{/* The flags that both programs have; of a dict with root and component. */}}
{{- define "clarion.args" -}}
- --port={{ .root.Values.prometheus.metricsPort }}
- --log-level={{ .component.logLevel }}
- --health-probe-port={{ .component.livenessProbe.port }}
{{- with .root.Values.loadBalancerClass }}
- --lb-class={{ . }}
{{- end }}
{{- if .root.Values.prometheus.plainHTTP }}
- --metrics-plain-http
{{- end }}
{{- with .root.Values.tls.minVersion }}
- --tls-min-version={{ . }}
{{- end }}
{{- with .root.Values.tls.cipherSuites }}
- --tls-cipher-suites={{ . }}
{{- end }}
{{- with .root.Values.tls.curvePreferences }}
- --tls-curve-preferences={{ . }}
{{- end }}
{{- if .secret }}
- --metrics-cert-dir=/etc/metrics-cert
{{- end }}
{{- end }}

{{/* Of a dict with probe, path and, for the host network, host. */}}
{{- define "clarion.probe" -}}
httpGet:
  {{- with .host }}
  host: {{ . }}
  {{- end }}
  path: {{ .path }}
  port: {{ .probe.port }}
{{ toYaml (omit .probe "enabled" "port") }}
{{- end }}

{{- define "clarion.scrapeAnnotations" -}}
{{- if and .Values.prometheus.scrapeAnnotations .Values.prometheus.metricsPort }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.prometheus.metricsPort | quote }}
prometheus.io/scheme: {{ ternary "http" "https" .Values.prometheus.plainHTTP }}
{{- end }}
{{- end }}

{{/* The Secret with the token of those who scrape by a PodMonitor. */}}
{{- define "clarion.tokenSecret" -}}
{{- default (printf "%s-scraper" (include "clarion.fullname" .)) .Values.prometheus.podMonitor.tokenSecret }}
{{- end }}

{{/* How an endpoint is scraped; of a dict with scheme, monitor, tlsConfig and, where Prometheus' own token cannot be sent, tokenSecret. */}}
{{- define "clarion.endpoint" -}}
scheme: {{ .scheme }}
path: /metrics
honorLabels: true
{{- if eq .scheme "https" }}
{{- if .tokenSecret }}
authorization:
  credentials:
    name: {{ .tokenSecret }}
    key: token
{{- else }}
bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}
{{- with .tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
