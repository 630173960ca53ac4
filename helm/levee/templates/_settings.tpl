{{/* Each setting of the program, and the value of the chart it is set by. */}}
{{- define "levee.settings" -}}
LEVEE_LISTEN: listen
LEVEE_API_LISTEN: listen
LEVEE_OPS_LISTEN: listen
LEVEE_UPSTREAMS: upstreams
LEVEE_ALLOWED_CIDRS: config.allowedCidrs
LEVEE_DRAIN_DELAY: drain.delaySeconds
LEVEE_DRAIN_TIMEOUT: drain.timeoutSeconds
LEVEE_LOG: config.log
LEVEE_LOG_FORMAT: config.logFormat
LEVEE_DATABASE_URL: database
LEVEE_REDIS_URL: redis
LEVEE_REDIS_PREFIX: redis.prefix
LEVEE_KUBERNETES: kubernetes.enabled
LEVEE_KUBERNETES_NAMESPACES: kubernetes.namespaces
LEVEE_KUBERNETES_SECRET_NAMESPACES: kubernetes.secretNamespaces
LEVEE_SECRET_KEYS: secretKeys
LEVEE_SNAPSHOT_DIR: snapshot
LEVEE_BOOTSTRAP_ADMIN_EMAIL: bootstrapAdmin.email
LEVEE_BOOTSTRAP_ADMIN_PASSWORD: bootstrapAdmin
LEVEE_TRUSTED_PROXIES: config.trustedProxies
LEVEE_CORS_ORIGINS: config.corsOrigins
OTEL_EXPORTER_OTLP_ENDPOINT: tracing.endpoint
OTEL_EXPORTER_OTLP_PROTOCOL: tracing.protocol
OTEL_EXPORTER_OTLP_HEADERS: tracing.existingSecret
OTEL_TRACES_SAMPLER: tracing.sampler
OTEL_TRACES_SAMPLER_ARG: tracing.ratio
OTEL_RESOURCE_ATTRIBUTES: tracing
{{- end -}}
