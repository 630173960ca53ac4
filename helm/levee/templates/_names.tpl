{{/* Names, labels and the image. */}}

{{- define "levee.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 44 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 44 characters, so that what is appended fits. */}}
{{- define "levee.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "levee.name" . -}}
{{- $whole := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $whole | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "levee.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "levee.fullname" .) "default") -}}
{{- end -}}

{{/* What selectors select by: never changes in the life of a release. */}}
{{- define "levee.selectorLabels" -}}
app.kubernetes.io/name: {{ include "levee.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{/* Labels of an object of the component: (dict "root" $ "component" "server" "more" .Values.podLabels). */}}
{{- define "levee.labels" -}}
{{- with merge (dict) (.more | default dict) .root.Values.commonLabels }}{{ toYaml . }}
{{ end -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "levee.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* The first lines of an object's metadata: (dict "root" $ "suffix" "-migrate" "component" "migration"). */}}
{{- define "levee.metadata" -}}
name: {{ include "levee.fullname" .root }}{{ .suffix }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "levee.labels" (dict "root" .root "component" (.component | default "server") "more" .more) | nindent 2 }}
{{- end -}}

{{- define "levee.image" -}}
{{- $image := .Values.image -}}
{{- $repository := (not (empty $image.registry)) | ternary (printf "%s/%s" $image.registry $image.repository) $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
