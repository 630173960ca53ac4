//! Where settings come from: what was given, where, and the names each setting goes by.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::models::decode::quantity;

/// The settings there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// The data plane's address.
    Listen,
    /// The control plane's address.
    ApiListen,
    /// The ops port's address.
    OpsListen,
    /// File or folder of upstream documents.
    Upstreams,
    /// Private ranges upstreams may resolve to.
    AllowedCidrs,
    /// Serving on after a stop was announced.
    DrainDelay,
    /// Finishing what is in flight.
    DrainTimeout,
    /// Log filter.
    Log,
    /// Log format.
    LogFormat,
    /// Where everything is kept.
    DatabaseUrl,
    /// Where Redis is.
    RedisUrl,
    /// What every key in Redis starts with.
    RedisPrefix,
    /// The key ring.
    SecretKeys,
    /// Where the last good snapshot is kept.
    SnapshotDir,
    /// The first admin's address.
    BootstrapAdminEmail,
    /// The first admin's password.
    BootstrapAdminPassword,
    /// Whose `X-Forwarded-For` is believed.
    TrustedProxies,
    /// Origins whose pages may use the API.
    CorsOrigins,
    /// The cluster around us.
    Kubernetes,
    /// Whose Upstreams count.
    KubernetesNamespaces,
    /// Whose Secrets may be read.
    KubernetesSecretNamespaces,
}

impl Setting {
    /// Every setting, in the order they are documented.
    pub const ALL: [Self; 21] = [
        Self::Listen,
        Self::ApiListen,
        Self::OpsListen,
        Self::Upstreams,
        Self::AllowedCidrs,
        Self::DrainDelay,
        Self::DrainTimeout,
        Self::Log,
        Self::LogFormat,
        Self::DatabaseUrl,
        Self::RedisUrl,
        Self::RedisPrefix,
        Self::SecretKeys,
        Self::SnapshotDir,
        Self::BootstrapAdminEmail,
        Self::BootstrapAdminPassword,
        Self::TrustedProxies,
        Self::CorsOrigins,
        Self::Kubernetes,
        Self::KubernetesNamespaces,
        Self::KubernetesSecretNamespaces,
    ];

    /// Its name in `levee.yaml`.
    pub fn field(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::ApiListen => "apiListen",
            Self::OpsListen => "opsListen",
            Self::Upstreams => "upstreams",
            Self::AllowedCidrs => "allowedCidrs",
            Self::DrainDelay => "drainDelay",
            Self::DrainTimeout => "drainTimeout",
            Self::Log => "log",
            Self::LogFormat => "logFormat",
            Self::DatabaseUrl => "databaseUrl",
            Self::RedisUrl => "redisUrl",
            Self::RedisPrefix => "redisPrefix",
            Self::SecretKeys => "secretKeys",
            Self::SnapshotDir => "snapshotDir",
            Self::BootstrapAdminEmail => "bootstrapAdminEmail",
            Self::BootstrapAdminPassword => "bootstrapAdminPassword",
            Self::TrustedProxies => "trustedProxies",
            Self::CorsOrigins => "corsOrigins",
            Self::Kubernetes => "kubernetes",
            Self::KubernetesNamespaces => "kubernetesNamespaces",
            Self::KubernetesSecretNamespaces => "kubernetesSecretNamespaces",
        }
    }

    /// Its environment variable.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Listen => "LEVEE_LISTEN",
            Self::ApiListen => "LEVEE_API_LISTEN",
            Self::OpsListen => "LEVEE_OPS_LISTEN",
            Self::Upstreams => "LEVEE_UPSTREAMS",
            Self::AllowedCidrs => "LEVEE_ALLOWED_CIDRS",
            Self::DrainDelay => "LEVEE_DRAIN_DELAY",
            Self::DrainTimeout => "LEVEE_DRAIN_TIMEOUT",
            Self::Log => "LEVEE_LOG",
            Self::LogFormat => "LEVEE_LOG_FORMAT",
            Self::DatabaseUrl => "LEVEE_DATABASE_URL",
            Self::RedisUrl => "LEVEE_REDIS_URL",
            Self::RedisPrefix => "LEVEE_REDIS_PREFIX",
            Self::SecretKeys => "LEVEE_SECRET_KEYS",
            Self::SnapshotDir => "LEVEE_SNAPSHOT_DIR",
            Self::BootstrapAdminEmail => "LEVEE_BOOTSTRAP_ADMIN_EMAIL",
            Self::BootstrapAdminPassword => "LEVEE_BOOTSTRAP_ADMIN_PASSWORD",
            Self::TrustedProxies => "LEVEE_TRUSTED_PROXIES",
            Self::CorsOrigins => "LEVEE_CORS_ORIGINS",
            Self::Kubernetes => "LEVEE_KUBERNETES",
            Self::KubernetesNamespaces => "LEVEE_KUBERNETES_NAMESPACES",
            Self::KubernetesSecretNamespaces => "LEVEE_KUBERNETES_SECRET_NAMESPACES",
        }
    }
}

impl Setting {
    /// It holds a secret: no message shows its value, and a file can hold it.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::DatabaseUrl | Self::RedisUrl | Self::SecretKeys | Self::BootstrapAdminPassword)
    }

    /// The variable that names a file with the value.
    pub fn file_variable(self) -> String {
        format!("{}_FILE", self.variable())
    }

    /// It is a list, written with commas in the environment and as a list in `levee.yaml`.
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Self::AllowedCidrs
                | Self::TrustedProxies
                | Self::CorsOrigins
                | Self::KubernetesNamespaces
                | Self::KubernetesSecretNamespaces
        )
    }
}

/// One value as text, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As written.
    pub text: String,
    /// `LEVEE_LISTEN`, `--listen` or `levee.yaml:3: listen`.
    pub place: String,
}

/// What was given, whatever the source. A value given again replaces the earlier one, so sources are added from the
/// weakest to the strongest.
#[derive(Debug, Clone, Default)]
pub struct Given(BTreeMap<Setting, Value>);

impl Given {
    /// Adds one value.
    pub fn add(&mut self, setting: Setting, text: impl Into<String>, place: impl Into<String>) {
        self.0.insert(setting, Value { text: text.into(), place: place.into() });
    }

    /// The strongest value, if there is one.
    pub fn get(&self, setting: Setting) -> Option<&Value> {
        self.0.get(&setting)
    }
}

/// Variables that are nearly one of ours, with the one that was meant. Farther ones are somebody else's: Kubernetes
/// makes `LEVEE_PORT…` and `LEVEE_SERVICE_…` of a service named levee.
pub fn misspelt_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let files = Setting::ALL.into_iter().filter(|setting| setting.is_secret()).map(Setting::file_variable);
    let known: Vec<String> =
        Setting::ALL.map(|setting| setting.variable().to_owned()).into_iter().chain(files).collect();
    names
        .filter(|name| !known.contains(name))
        .filter_map(|name| {
            let meant = known.iter().find(|known| strsim::damerau_levenshtein(known, &name) <= 2)?;
            Some(format!("{name} is not a setting; did you mean {meant}?"))
        })
        .collect()
}

/// A DNS label (RFC 1123), as the names of namespaces are.
pub(super) fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Scheme and authority, nothing more (RFC 6454 section 6.1).
pub(super) fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|authority| {
        !authority.is_empty() && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    })
}

pub(super) fn duration(text: &str) -> Option<Duration> {
    quantity::parse_duration(text)
}
