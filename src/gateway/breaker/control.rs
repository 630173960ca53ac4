//! The control word: epoch (40 bits), probes left (16), mode (4) and state (4) in one `u64`, so that one load
//! tells whether a call may go.

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass and are watched.
    Closed,
    /// Calls are refused until the open period ends.
    Open,
    /// A few probes pass and decide.
    HalfOpen,
    /// Calls are refused because an operator said so.
    ForcedOpen,
}

impl State {
    /// Every state, for metrics that need a series for each.
    pub const ALL: [State; 4] = [State::Closed, State::Open, State::HalfOpen, State::ForcedOpen];

    /// The word for it in the API, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
            State::ForcedOpen => "forced_open",
        }
    }
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The breaker.
    Auto,
    /// An operator: nothing passes.
    ForcedOpen,
    /// An operator: everything passes.
    ForcedClosed,
    /// Nobody: everything passes, and the breaker says what it would have done.
    MetricsOnly,
}

impl Mode {
    const ALL: [Mode; 4] = [Mode::Auto, Mode::ForcedOpen, Mode::ForcedClosed, Mode::MetricsOnly];

    /// The word for it in the API, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::ForcedOpen => "forced_open",
            Mode::ForcedClosed => "forced_closed",
            Mode::MetricsOnly => "metrics_only",
        }
    }
}

/// The control word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// What one probe slot adds to the word.
    pub(super) const ONE_PROBE: u64 = 1 << 8;

    pub(super) fn new(epoch: u64, probes_left: u16, mode: Mode, state: State) -> Word {
        Word(epoch << 24 | u64::from(probes_left) << 8 | (mode as u64) << 4 | state as u64)
    }

    pub(super) fn epoch(self) -> u64 {
        self.0 >> 24
    }

    pub(super) fn probes_left(self) -> u16 {
        (self.0 >> 8) as u16
    }

    pub(super) fn mode(self) -> Mode {
        Mode::ALL[(self.0 >> 4) as usize & 3]
    }

    pub(super) fn state(self) -> State {
        State::ALL[self.0 as usize & 3]
    }

    /// The one case worth a shortcut: mode `Auto`, state `Closed`.
    pub(super) fn is_plainly_closed(self) -> bool {
        self.0 as u8 == 0
    }

    /// Whether a call that comes now is let through without a probe slot.
    pub(super) fn admits_all(self) -> bool {
        self.state() == State::Closed || self.mode() == Mode::MetricsOnly
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_what_was_packed() {
        for mode in Mode::ALL {
            for state in State::ALL {
                let word = Word::new((1 << 40) - 1, u16::MAX, mode, state);
                assert_eq!((word.epoch(), word.probes_left()), ((1 << 40) - 1, u16::MAX));
                assert_eq!((word.mode(), word.state()), (mode, state));
                assert_eq!(Word(Word::new(7, 2, mode, state).0 - Word::ONE_PROBE).probes_left(), 1);
            }
        }
    }
}
