//! What an Upstream's status says: accepted, ready, healthy, and where its breakers stand.

use serde_json::{Map, Value, json};

use crate::error::Fault;
use crate::services::breakers::{BreakerMode, BreakerReport, BreakerState};
use crate::services::publication::{ResourceReport, SecretStanding};

/// Longest text of a condition's message.
const LONGEST_MESSAGE: usize = 1_024;

/// The conditions, in the order they are written.
pub(super) const ACCEPTED: &str = "Accepted";
pub(super) const HEALTHY: &str = "Healthy";
const READY: &str = "Ready";

/// All that is said of one Upstream, but for when it began.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Status {
    generation: i64,
    name: String,
    breakers: Vec<Breaker>,
    pub(super) conditions: [Condition; 3],
}

#[derive(Debug, Clone, PartialEq)]
struct Breaker {
    operation: String,
    state: &'static str,
    mode: &'static str,
    /// It keeps calls from passing.
    refuses: bool,
}

/// One condition (as `metav1.Condition`).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Status {
    /// `attached`: a credential is at hand, where one is needed. `breakers` are those of this upstream.
    pub(super) fn of(report: &ResourceReport, attached: bool, breakers: &[BreakerReport]) -> Self {
        let mut breakers: Vec<Breaker> =
            breakers.iter().filter(|_| report.in_force).map(Breaker::of).collect();
        breakers.sort_by(|one, other| one.operation.cmp(&other.operation));
        let conditions = [accepted(report), ready(report, attached), healthy(report, &breakers)];
        Self { generation: report.generation, name: report.name.clone(), breakers, conditions }
    }

    pub(super) fn condition(&self, kind: &str) -> &Condition {
        self.conditions.iter().find(|condition| condition.kind == kind).expect("all three are always there")
    }

    /// As it is written. A condition that stands as it stood in `before` has stood so since then.
    pub(super) fn to_json(&self, before: &Value, now: &str) -> Value {
        let conditions =
            self.conditions.iter().map(|condition| condition.to_json(before, self.generation, now));
        let breakers = self.breakers.iter().map(
            |breaker| json!({ "operation": breaker.operation, "state": breaker.state, "mode": breaker.mode }),
        );
        json!({
            "observedGeneration": self.generation,
            "name": self.name,
            "breaker": self.worst_breaker(),
            "breakers": breakers.collect::<Vec<_>>(),
            "conditions": conditions.collect::<Vec<_>>(),
        })
    }

    /// Writing it would change nothing. What others may have added does not count.
    pub(super) fn is_said_by(&self, written: &Value) -> bool {
        let wanted = self.to_json(written, "");
        let of_ours = |kind: &Value| self.conditions.iter().any(|condition| *kind == condition.kind);
        let mut ours: Map<String, Value> = Map::new();
        for field in wanted.as_object().into_iter().flat_map(Map::keys) {
            let mut value = written.get(field).cloned().unwrap_or_default();
            // A list whose entries are all taken back goes altogether when it is applied.
            if field == "breakers" && value.is_null() {
                value = json!([]);
            }
            if let (true, Some(conditions)) = (field == "conditions", value.as_array_mut()) {
                conditions.retain(|condition| of_ours(&condition["type"]));
                conditions.sort_by_key(|condition| {
                    self.conditions.iter().position(|ours| condition["type"] == ours.kind)
                });
            }
            ours.insert(field.clone(), value);
        }
        Value::Object(ours) == wanted
    }

    /// For a column of a table.
    fn worst_breaker(&self) -> &'static str {
        let states = || self.breakers.iter().filter(|breaker| breaker.refuses).map(|breaker| breaker.state);
        match (self.breakers.is_empty(), states().find(|state| *state == "open"), states().next()) {
            (true, ..) => "",
            (_, Some(open), _) => open,
            (_, None, Some(other)) => other,
            (false, None, None) => "closed",
        }
    }
}

impl Breaker {
    fn of(report: &BreakerReport) -> Self {
        let mode = match report.mode {
            BreakerMode::Auto => "auto",
            BreakerMode::ForcedOpen => "forced_open",
            BreakerMode::ForcedClosed => "forced_closed",
            BreakerMode::MetricsOnly => "metrics_only",
        };
        let state = match report.state {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        };
        let refuses = state != "closed" && matches!(report.mode, BreakerMode::Auto | BreakerMode::ForcedOpen);
        Self { operation: report.operation.clone().unwrap_or_default(), state, mode, refuses }
    }
}

impl Condition {
    fn new(
        kind: &'static str,
        status: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let mut message = message.into();
        if message.len() > LONGEST_MESSAGE {
            let end = (0..=LONGEST_MESSAGE).rev().find(|end| message.is_char_boundary(*end));
            message.truncate(end.unwrap_or_default());
            message.push('…');
        }
        Self { kind, status, reason, message }
    }

    fn to_json(&self, before: &Value, generation: i64, now: &str) -> Value {
        let before = find(before, self.kind).filter(|before| before["status"] == self.status);
        let since = before.and_then(|before| before["lastTransitionTime"].as_str()).unwrap_or(now);
        json!({
            "type": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": generation,
            "lastTransitionTime": since,
        })
    }
}

/// A condition of a status that was written.
pub(super) fn find<'v>(status: &'v Value, kind: &str) -> Option<&'v Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn accepted(report: &ResourceReport) -> Condition {
    if !report.accepted {
        let faults = told(&report.faults);
        let stays = if report.in_force { "; the last good version stays in force" } else { "" };
        return Condition::new(ACCEPTED, "False", "Invalid", faults + stays);
    }
    let message = match &report.hides {
        None => format!("in force as `{}`", report.name),
        Some(place) => {
            format!("in force as `{}`, in place of the document of that name at {place}", report.name)
        }
    };
    Condition::new(ACCEPTED, "True", "Accepted", message)
}

fn ready(report: &ResourceReport, attached: bool) -> Condition {
    let not = |reason, message: &str| Condition::new(READY, "False", reason, message);
    if !report.in_force {
        return not("NotAccepted", "no version of it is in force");
    }
    match &report.secret {
        SecretStanding::Closed => not(
            "SecretNotReadable",
            "Levee may read Secrets of its own namespace and of those in LEVEE_KUBERNETES_SECRET_NAMESPACES only",
        ),
        SecretStanding::Missing => not("SecretMissing", "there is no Secret of that name"),
        SecretStanding::NoSuchKey => not("SecretKeyMissing", "the Secret has no text under that key"),
        SecretStanding::Unread(why) => not("SecretNotReadable", why),
        SecretStanding::Unbound(annotations) => Condition::new(
            READY,
            "False",
            "SecretNotBound",
            format!("the Secret does not say that it may go there: annotate it with {annotations}"),
        ),
        SecretStanding::Attached | SecretStanding::Unnamed if report.needs_credential && !attached => {
            not("CredentialMissing", "its credential was not set, or was set for another origin")
        }
        SecretStanding::Attached | SecretStanding::Unnamed
            if report.accepted && !report.faults.is_empty() =>
        {
            Condition::new(READY, "False", "FallbackMissing", told(&report.faults))
        }
        SecretStanding::Attached | SecretStanding::Unnamed => {
            Condition::new(READY, "True", "Ready", "it can be called")
        }
    }
}

fn healthy(report: &ResourceReport, breakers: &[Breaker]) -> Condition {
    if !report.in_force {
        return Condition::new(HEALTHY, "Unknown", "NotInForce", "no version of it is in force");
    }
    let refusing = || breakers.iter().filter(|breaker| breaker.refuses);
    let named = |breaker: &Breaker| match breaker.operation.as_str() {
        "" => breaker.state.to_owned(),
        operation => format!("{operation}: {}", breaker.state),
    };
    let message = refusing().map(named).collect::<Vec<_>>().join(", ");
    if message.is_empty() {
        return Condition::new(HEALTHY, "True", "BreakerClosed", "calls pass");
    }
    let forced = refusing().any(|breaker| breaker.mode == "forced_open");
    let open = refusing().any(|breaker| breaker.state == "open");
    let reason = match (forced, open) {
        (true, _) => "BreakerForcedOpen",
        (false, true) => "BreakerOpen",
        (false, false) => "BreakerHalfOpen",
    };
    Condition::new(HEALTHY, "False", reason, message)
}

/// Fields and reasons, in the words of the document.
fn told(faults: &[Fault]) -> String {
    let one = |fault: &Fault| format!("{}: {}", field(&fault.pointer), fault.detail);
    faults.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// `/spec/fallback/0/upstream` as `spec.fallback[0].upstream`.
fn field(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    parts.fold(String::new(), |above, part| match (above.as_str(), part.parse::<usize>()) {
        ("", _) => part,
        (_, Ok(index)) => format!("{above}[{index}]"),
        (_, Err(_)) => format!("{above}.{part}"),
    })
}

#[cfg(test)]
mod tests;
