{{/* What the pods have in common: the server's, the migration's, the test's. */}}

{{- define "levee.migrationMode" -}}
{{- $mode := .Values.migration.mode -}}
{{- eq $mode "auto" | ternary (.Values.sqlite.enabled | ternary "init" "job") $mode -}}
{{- end -}}

{{/* The sum of what a stop may take, and 5 seconds of margin. */}}
{{- define "levee.leastGrace" -}}
{{- $drain := .Values.drain -}}
{{- add $drain.preStopSeconds $drain.delaySeconds $drain.timeoutSeconds $drain.flushSeconds 5 -}}
{{- end -}}

{{- define "levee.configuration" -}}
listen: {{ printf "%s:%d" .Values.listen.address (int .Values.listen.calls) | quote }}
apiListen: {{ printf "%s:%d" .Values.listen.address (int .Values.listen.api) | quote }}
opsListen: {{ printf "%s:%d" .Values.listen.address (int .Values.listen.ops) | quote }}
drainDelay: {{ int .Values.drain.delaySeconds }}s
drainTimeout: {{ int .Values.drain.timeoutSeconds }}s
log: {{ .Values.config.log | quote }}
logFormat: {{ .Values.config.logFormat }}
{{- with .Values.config.allowedCidrs }}
allowedCidrs: {{ toJson . }}
{{- end }}
{{- with .Values.config.trustedProxies }}
trustedProxies: {{ toJson . }}
{{- end }}
{{- with .Values.config.corsOrigins }}
corsOrigins: {{ toJson . }}
{{- end }}
{{- if .Values.snapshot.enabled }}
snapshotDir: /var/lib/levee/snapshot
{{- end }}
{{- if .Values.redis.existingSecret }}
redisPrefix: {{ .Values.redis.prefix | quote }}
{{- end }}
{{- if .Values.kubernetes.enabled }}
kubernetes: "on"
{{- with .Values.kubernetes.namespaces }}
kubernetesNamespaces: {{ toJson . }}
{{- end }}
{{- with .Values.kubernetes.secretNamespaces }}
kubernetesSecretNamespaces: {{ toJson . }}
{{- end }}
{{- end }}
{{- with .Values.bootstrapAdmin.email }}
bootstrapAdminEmail: {{ . | quote }}
{{- end }}
{{- if include "levee.upstreamsConfigMap" . }}
upstreams: /etc/levee/upstreams
{{- end }}
{{- end -}}

{{/* The ConfigMap of upstreams: yours, ours, or none. */}}
{{- define "levee.upstreamsConfigMap" -}}
{{- if .Values.upstreams.existingConfigMap -}}
{{- .Values.upstreams.existingConfigMap -}}
{{- else if .Values.upstreams.files -}}
{{- include "levee.fullname" . }}-upstreams
{{- end -}}
{{- end -}}

{{/* Settings of a pod's whole: of the restricted Pod Security Standard. */}}
{{- define "levee.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.podSecurity.runAsUser }}
runAsUser: {{ int . }}
{{- end }}
{{- with .Values.podSecurity.runAsGroup }}
runAsGroup: {{ int . }}
{{- end }}
{{- with .Values.podSecurity.fsGroup }}
fsGroup: {{ int . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "levee.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What every pod of the release begins with. */}}
{{- define "levee.podBasics" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "levee.podSecurityContext" . | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* OpenTelemetry's own variables; spans name the pod they come from. */}}
{{- define "levee.tracingEnv" -}}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ .protocol }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .ratio | quote }}
{{- with .existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: { secretKeyRef: { name: {{ . }}, key: {{ $.key | quote }} } }
{{- end }}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE)
{{- end -}}

{{/* Where the database is, for every container that opens it. */}}
{{- define "levee.databaseEnv" -}}
{{- if .Values.sqlite.enabled -}}
- name: LEVEE_DATABASE_URL
  value: sqlite:///var/lib/levee/database/levee.db
{{- else -}}
- name: LEVEE_DATABASE_URL_FILE
  value: /run/secrets/levee/database-url
{{- end -}}
{{- end -}}

{{- define "levee.databaseSecret" -}}
{{- if not .Values.sqlite.enabled -}}
- secret:
    name: {{ .Values.database.existingSecret }}
    items: [{ key: {{ .Values.database.key | quote }}, path: database-url }]
{{- end -}}
{{- end -}}

{{/* A container that brings the schema up to date. */}}
{{- define "levee.migrateContainer" -}}
name: migrate
image: {{ include "levee.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [migrate]
env:
  {{- include "levee.databaseEnv" . | nindent 2 }}
  {{- with .Values.extraEnv }}
  {{- tpl (toYaml .) $ | nindent 2 }}
  {{- end }}
securityContext:
  {{- include "levee.securityContext" . | nindent 2 }}
resources:
  {{- toYaml .Values.migration.resources | nindent 2 }}
{{- end -}}

{{/* What a container that opens the database mounts for that. */}}
{{- define "levee.databaseMount" -}}
{{- if .Values.sqlite.enabled -}}
- { name: database, mountPath: /var/lib/levee/database }
{{- else -}}
- { name: secrets, mountPath: /run/secrets/levee, readOnly: true }
{{- end -}}
{{- end -}}
