//! The settings of a process, refused with every fault at once before anything is bound.
//!
//! Precedence: defaults, then `levee.yaml`, then environment, then flags. The command line parser has merged the last
//! two when `Settings::resolve` runs; every value arrives as text and leaves as what the code needs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use crate::identity::ring::KeyRing;
use crate::models::address::LOOPBACK;
use crate::models::document::{Rules, Unsaid};
use crate::models::user::Email;
use crate::redis;
use crate::telemetry::logs::{self, LogFormat};
use crate::telemetry::traces::TraceSettings;

/// Where settings come from.
pub mod source;

use source::{Given, Setting};

/// How the process was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `levee dev`: everything embedded, anonymous callers on this machine.
    Dev,
    /// `levee serve`: production.
    Serve,
}

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the process was started.
    pub mode: Mode,
    /// The data plane's address.
    pub listen: SocketAddr,
    /// The control plane's address; `None` shares the data plane's.
    pub api_listen: Option<SocketAddr>,
    /// The ops port's address.
    pub ops_listen: SocketAddr,
    /// File or folder of upstream documents.
    pub upstreams: Option<PathBuf>,
    /// Private ranges upstreams may resolve to.
    pub allowed_cidrs: Vec<IpNet>,
    /// How long a draining process serves on before it stops accepting.
    pub drain_delay: Duration,
    /// How long calls in flight may take to finish.
    pub drain_timeout: Duration,
    /// Log filter in the syntax of `tracing`.
    pub log: String,
    /// Log format; `None` is text on a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// Where everything is kept: `sqlite://…` or `postgres://…`.
    pub database_url: Option<SecretString>,
    /// What replicas share while it answers.
    pub redis: Option<redis::Address>,
    /// What every key in Redis starts with.
    pub redis_prefix: String,
    /// What seals credentials and signs tokens.
    pub secret_keys: Option<KeyRing>,
    /// Where the last good snapshot is kept for a start without a database.
    pub snapshot_dir: Option<PathBuf>,
    /// The first admin's address, for an empty database.
    pub bootstrap_admin_email: Option<Email>,
    /// The first admin's password.
    pub bootstrap_admin_password: Option<SecretString>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may use the API: `https://console.example.com`.
    pub cors_origins: Vec<String>,
    /// Where spans go; nowhere unless the standard variables of OpenTelemetry name an endpoint.
    pub traces: Option<TraceSettings>,
    /// Whether custom resources of a cluster are watched, and its tokens prove service accounts.
    pub kubernetes: bool,
    /// Namespaces whose Upstreams count; empty: those of the whole cluster.
    pub kubernetes_namespaces: Vec<String>,
    /// Namespaces whose Secrets may be read beside those of Levee's own.
    pub kubernetes_secret_namespaces: Vec<String>,
}

impl Settings {
    /// Makes settings of what was given, or names everything that is wrong with it.
    pub fn resolve(mode: Mode, given: &Given) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let dev = mode == Mode::Dev;
        let (any, loopback) = ("0.0.0.0", "127.0.0.1");
        let host = if dev { loopback } else { any };
        let mut reader = Reader { given, faults: &mut faults };
        let settings = Self {
            mode,
            listen: reader.address(Setting::Listen).unwrap_or_else(|| default_address(host, 8080)),
            api_listen: reader.address(Setting::ApiListen).or((!dev).then(|| default_address(host, 8081))),
            ops_listen: reader.address(Setting::OpsListen).unwrap_or_else(|| default_address(host, 9464)),
            upstreams: given.get(Setting::Upstreams).map(|given| PathBuf::from(&given.text)),
            allowed_cidrs: reader
                .ranges(Setting::AllowedCidrs)
                .unwrap_or_else(|| if dev { LOOPBACK.to_vec() } else { Vec::new() }),
            drain_delay: reader.duration(Setting::DrainDelay).unwrap_or(if dev {
                Duration::ZERO
            } else {
                Duration::from_secs(5)
            }),
            drain_timeout: reader.duration(Setting::DrainTimeout).unwrap_or(Duration::from_secs(45)),
            log: reader.filter(Setting::Log).unwrap_or_else(|| "info".to_owned()),
            log_format: reader.log_format(Setting::LogFormat),
            database_url: reader.database_url(Setting::DatabaseUrl),
            redis: reader.redis(Setting::RedisUrl),
            redis_prefix: reader.redis_prefix(Setting::RedisPrefix).unwrap_or_else(|| "levee".to_owned()),
            secret_keys: reader.secret_keys(Setting::SecretKeys),
            snapshot_dir: given.get(Setting::SnapshotDir).map(|given| PathBuf::from(&given.text)),
            bootstrap_admin_email: reader.read(
                Setting::BootstrapAdminEmail,
                "an e-mail address",
                Email::parse,
            ),
            bootstrap_admin_password: reader.secret(Setting::BootstrapAdminPassword),
            trusted_proxies: reader.ranges(Setting::TrustedProxies).unwrap_or_default(),
            cors_origins: reader.origins(Setting::CorsOrigins).unwrap_or_default(),
            traces: None,
            kubernetes: reader.switch(Setting::Kubernetes).unwrap_or(false),
            kubernetes_namespaces: reader.namespaces(Setting::KubernetesNamespaces).unwrap_or_default(),
            kubernetes_secret_namespaces: reader
                .namespaces(Setting::KubernetesSecretNamespaces)
                .unwrap_or_default(),
        };
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    /// What upstream documents may do here.
    pub fn rules(&self) -> Rules {
        Rules {
            allowed_cidrs: self.allowed_cidrs.clone(),
            unsaid_access: match self.mode {
                Mode::Dev => Unsaid::Anybody,
                Mode::Serve => Unsaid::Nobody,
            },
        }
    }
}

fn default_address(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().expect("both hosts are addresses"), port)
}

/// Reads texts, noting what is wrong and where it was given.
struct Reader<'a> {
    given: &'a Given,
    faults: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn read<T>(&mut self, setting: Setting, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let given = self.given.get(setting)?;
        let parsed = parse(given.text.trim());
        if parsed.is_none() {
            self.faults.push(format!("{}: {:?} is not {expected}", given.place, given.text));
        }
        parsed
    }

    fn address(&mut self, setting: Setting) -> Option<SocketAddr> {
        self.read(setting, "an address and port such as 127.0.0.1:8080", |text| text.parse().ok())
    }

    fn duration(&mut self, setting: Setting) -> Option<Duration> {
        self.read(setting, "a duration of at most an hour such as 500ms, 5s or 2m", |text| {
            source::duration(text).filter(|duration| *duration <= Duration::from_secs(3600))
        })
    }

    fn ranges(&mut self, setting: Setting) -> Option<Vec<IpNet>> {
        self.read(setting, "a list of address ranges such as 10.0.0.0/8,127.0.0.0/8", |text| {
            text.split(',')
                .map(str::trim)
                .filter(|range| !range.is_empty())
                .map(|range| range.parse().ok())
                .collect()
        })
    }

    fn filter(&mut self, setting: Setting) -> Option<String> {
        self.read(setting, "a log filter such as info or levee=debug,warn", |text| {
            logs::check_filter(text).is_ok().then(|| text.to_owned())
        })
    }

    fn log_format(&mut self, setting: Setting) -> Option<LogFormat> {
        self.read(setting, "a log format: text or json", |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        })
    }

    fn switch(&mut self, setting: Setting) -> Option<bool> {
        self.read(setting, "a switch: on or off", |text| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        })
    }

    fn secret(&mut self, setting: Setting) -> Option<SecretString> {
        self.given.get(setting).map(|given| SecretString::from(given.text.as_str()))
    }

    /// A value that may hold a password, so no message repeats it.
    fn database_url(&mut self, setting: Setting) -> Option<SecretString> {
        let given = self.given.get(setting)?;
        let known = ["sqlite://", "postgres://", "postgresql://"];
        if known.iter().any(|scheme| given.text.starts_with(scheme)) {
            return Some(SecretString::from(given.text.trim()));
        }
        self.faults.push(format!("{}: is neither sqlite://… nor postgres://…", given.place));
        None
    }

    /// The same: it may hold a password.
    fn redis(&mut self, setting: Setting) -> Option<redis::Address> {
        let given = self.given.get(setting)?;
        redis::Address::parse(given.text.trim())
            .map_err(|fault| self.faults.push(format!("{}: {fault}", given.place)))
            .ok()
    }

    fn redis_prefix(&mut self, setting: Setting) -> Option<String> {
        self.read(setting, "a prefix of at most 64 letters, digits and `._:-`", |text| {
            redis::is_prefix(text).then(|| text.to_owned())
        })
    }

    fn secret_keys(&mut self, setting: Setting) -> Option<KeyRing> {
        let given = self.given.get(setting)?;
        KeyRing::parse(&given.text)
            .map_err(|faults| {
                self.faults.extend(faults.iter().map(|fault| format!("{}: {fault}", given.place)));
            })
            .ok()
    }

    fn namespaces(&mut self, setting: Setting) -> Option<Vec<String>> {
        self.read(setting, "a list of namespaces such as shop,payments", |text| {
            let listed = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            listed.map(|name| source::is_label(name).then(|| name.to_owned())).collect()
        })
    }

    fn origins(&mut self, setting: Setting) -> Option<Vec<String>> {
        self.read(setting, "a list of origins such as https://console.example.com", |text| {
            let listed = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
            listed.map(|origin| source::is_origin(origin).then(|| origin.to_owned())).collect()
        })
    }
}

#[cfg(test)]
mod tests;
