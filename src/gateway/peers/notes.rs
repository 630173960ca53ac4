//! What a replica publishes: every breaker of its that does not plainly pass calls, with times told relative to now, because
//! clocks of machines differ.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gateway::breaker::{Mode, Reason, State, View};

/// Most breakers in one replica's notes.
const MOST: usize = 256;
/// Most bytes of another's notes that are read.
const LONGEST: usize = 256 * 1024;

/// One replica's notes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Notes(Vec<Note>);

/// One breaker of one replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    #[serde(rename = "u")]
    upstream: String,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// Where it stands.
    #[serde(rename = "s")]
    pub state: PeerState,
    /// Who decides there: `auto`, `forced_open`, `forced_closed` or `metrics_only`.
    #[serde(rename = "m")]
    mode: String,
    /// Why.
    #[serde(rename = "r")]
    reason: String,
    /// For how long it had stood there when it said so, milliseconds.
    #[serde(rename = "for")]
    stood_ms: u64,
    /// What was left of the open period then, milliseconds.
    #[serde(rename = "left", default, skip_serializing_if = "Option::is_none")]
    left_ms: Option<u64>,
}

/// Where another's breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// A few probes pass.
    HalfOpen,
    /// A person closed the door.
    ForcedOpen,
}

impl From<State> for PeerState {
    fn from(state: State) -> Self {
        match state {
            State::Closed => Self::Closed,
            State::Open => Self::Open,
            State::HalfOpen => Self::HalfOpen,
            State::ForcedOpen => Self::ForcedOpen,
        }
    }
}

impl Notes {
    /// Of these breakers of ours, as many as there is room for.
    pub(super) fn of_ours<'a>(breakers: impl Iterator<Item = ((&'a str, Option<&'a str>), View)>) -> Self {
        let note = |((upstream, operation), view): ((&str, Option<&str>), View)| Note {
            upstream: upstream.to_owned(),
            operation: operation.map(str::to_owned),
            state: view.state.into(),
            mode: view.mode.as_str().to_owned(),
            reason: view.reason.as_str().to_owned(),
            stood_ms: millis(view.since.elapsed()),
            left_ms: view.open_remaining.map(millis),
        };
        Self(breakers.take(MOST).map(note).collect())
    }

    /// Reads another's; what cannot be read says nothing.
    pub(super) fn read(text: &str) -> Self {
        if text.len() > LONGEST {
            return Self::default();
        }
        let mut notes: Self = serde_json::from_str(text).unwrap_or_default();
        notes.0.truncate(MOST);
        notes
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("names and numbers can be written")
    }

    pub(super) fn of(&self, upstream: &str, operation: Option<&str>) -> Option<&Note> {
        self.0.iter().find(|note| note.upstream == upstream && note.operation.as_deref() == operation)
    }
}

impl Note {
    /// Who decides there.
    pub fn mode(&self) -> Mode {
        let known = [Mode::ForcedOpen, Mode::ForcedClosed, Mode::MetricsOnly];
        known.into_iter().find(|mode| mode.as_str() == self.mode).unwrap_or(Mode::Auto)
    }

    /// Why it stands there; `None` for words of another version.
    pub fn reason(&self) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.as_str() == self.reason)
    }

    /// For how long it has stood there by now, where it said so `age` ago.
    pub fn stood(&self, age: Duration) -> Duration {
        Duration::from_millis(self.stood_ms).saturating_add(age)
    }

    /// What is left of its open period.
    pub(super) fn left(&self, age: Duration) -> Duration {
        Duration::from_millis(self.left_ms.unwrap_or_default()).saturating_sub(age)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
impl Notes {
    pub(super) fn of_these(notes: Vec<Note>) -> Self {
        Self(notes)
    }
}

#[cfg(test)]
impl Note {
    /// An open breaker, for tests of what others make of it.
    pub(super) fn open(upstream: &str, reason: Reason, stood: Duration, left: Duration) -> Self {
        Self {
            upstream: upstream.to_owned(),
            operation: None,
            state: PeerState::Open,
            mode: Mode::Auto.as_str().to_owned(),
            reason: reason.as_str().to_owned(),
            stood_ms: millis(stood),
            left_ms: Some(millis(left)),
        }
    }

    pub(super) fn in_state(mut self, state: PeerState) -> Self {
        self.state = state;
        self
    }

    pub(super) fn in_mode(mut self, mode: Mode) -> Self {
        mode.as_str().clone_into(&mut self.mode);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_times_go_on() {
        let second = Duration::from_secs(1);
        let note = Note::open("rates", Reason::FailureRate, second * 2, second * 5);
        let notes = Notes::read(&Notes(vec![note.clone()]).text());
        let read = notes.of("rates", None).unwrap();
        assert_eq!((read, read.mode(), read.reason()), (&note, Mode::Auto, Some(Reason::FailureRate)));
        assert_eq!((read.stood(second), read.left(second)), (second * 3, second * 4));
        assert_eq!(read.left(second * 9), Duration::ZERO);
        assert_eq!(notes.of("rates", Some("quote")), None);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for text in ["", "{}", "[{\"u\":1}]", "[{\"u\":\"rates\",\"s\":\"ajar\"}]", &"[".repeat(LONGEST + 1)]
        {
            assert_eq!(Notes::read(text), Notes::default());
        }
    }
}
