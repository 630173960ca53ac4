//! How `flaky` misbehaves, and how a change of it is read.

use std::time::Duration;

use crate::models::decode::quantity::parse_duration;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// Longest `latency`.
const LONGEST: Duration = Duration::from_secs(300);

/// What `flaky` does with ordinary requests.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Behaviour {
    pub(super) mode: Mode,
    /// Share of requests that fail in `random`.
    pub(super) failure_rate: f64,
    /// Wait before the answer in `slow`.
    pub(super) latency: Duration,
    /// Status of a failure in `error` and `random`.
    pub(super) status: StatusCode,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            mode: Mode::Ok,
            failure_rate: 0.5,
            latency: Duration::from_secs(2),
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Answers.
    Ok,
    /// Answers with `status`.
    Error,
    /// Answers after `latency`.
    Slow,
    /// Answers once the mode changes, or after 5 minutes.
    Hang,
    /// Breaks the connection.
    Reset,
    /// `error` for a share of `failureRate`, else `ok`.
    Random,
}

impl Mode {
    const NAMES: [(&'static str, Self); 6] = [
        ("ok", Self::Ok),
        ("error", Self::Error),
        ("slow", Self::Slow),
        ("hang", Self::Hang),
        ("reset", Self::Reset),
        ("random", Self::Random),
    ];

    fn text(self) -> &'static str {
        Self::NAMES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

/// A field that could not be understood.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) detail: String,
}

impl Behaviour {
    /// As `/_flaky` shows it.
    pub(super) fn shown(&self) -> Value {
        json!({
            "mode": self.mode.text(),
            "failureRate": self.failure_rate,
            "latency": format!("{}ms", self.latency.as_millis()),
            "status": self.status.as_u16(),
        })
    }

    /// This behaviour with the given fields changed, or every field that is wrong. Values may come as text, as they
    /// do in a query.
    pub(super) fn changed(&self, fields: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let mut changed = self.clone();
        let mut faults = Vec::new();
        for (field, value) in fields {
            let outcome = match field.as_str() {
                "mode" => mode(value).map(|mode| changed.mode = mode),
                "failureRate" => rate(value).map(|rate| changed.failure_rate = rate),
                "latency" => latency(value).map(|latency| changed.latency = latency),
                "status" => status(value).map(|status| changed.status = status),
                _ => Err("no such field; there are mode, failureRate, latency, status"),
            };
            if let Err(detail) = outcome {
                faults.push(Fault { field: field.clone(), detail: detail.to_owned() });
            }
        }
        if faults.is_empty() { Ok(changed) } else { Err(faults) }
    }
}

fn mode(value: &Value) -> Result<Mode, &'static str> {
    let named = Mode::NAMES.iter().find(|(name, _)| value.as_str() == Some(name));
    named.map(|(_, mode)| *mode).ok_or("one of ok, error, slow, hang, reset, random")
}

fn rate(value: &Value) -> Result<f64, &'static str> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    number.filter(|rate| (0.0..=1.0).contains(rate)).ok_or("a number from 0 to 1")
}

fn latency(value: &Value) -> Result<Duration, &'static str> {
    let parsed = value.as_str().and_then(parse_duration);
    parsed.filter(|latency| *latency <= LONGEST).ok_or("a duration of at most 5m, such as 200ms or 2s")
}

fn status(value: &Value) -> Result<StatusCode, &'static str> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let code = number.and_then(|number| u16::try_from(number).ok()).filter(|code| (400..=599).contains(code));
    code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("a status from 400 to 599")
}
