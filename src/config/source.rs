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
    /// Anonymous callers.
    Anonymous,
}

impl Setting {
    /// Every setting, in the order they are documented.
    pub const ALL: [Self; 10] = [
        Self::Listen,
        Self::ApiListen,
        Self::OpsListen,
        Self::Upstreams,
        Self::AllowedCidrs,
        Self::DrainDelay,
        Self::DrainTimeout,
        Self::Log,
        Self::LogFormat,
        Self::Anonymous,
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
            Self::Anonymous => "anonymous",
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
            Self::Anonymous => "LEVEE_ANONYMOUS",
        }
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
    let known = Setting::ALL.map(Setting::variable);
    names
        .filter(|name| !known.contains(&name.as_str()))
        .filter_map(|name| {
            let meant = known.iter().find(|known| strsim::damerau_levenshtein(known, &name) <= 2)?;
            Some(format!("{name} is not a setting; did you mean {meant}?"))
        })
        .collect()
}

pub(super) fn duration(text: &str) -> Option<Duration> {
    quantity::parse_duration(text)
}
