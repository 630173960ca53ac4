//! A naive model of the breaker: it keeps lists and judges after every call.

use super::*;

/// Random operations on both.
mod ops;

/// Runs the breaker and the model side by side.
mod agreement;

const SECOND: u64 = 1_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Call,
    Probe,
    Shadow,
}

/// A call the model knows of, beside the permit it stands for.
struct Call {
    permit: Permit,
    id: usize,
    epoch: u64,
    kind: Kind,
    caller: u64,
    started: Option<u64>,
    headers_took: Option<u64>,
}

struct Probe {
    id: usize,
    due: u64,
    answered: bool,
}

/// One settled call: when, or as the how-manieth, and how.
#[derive(Clone, Copy)]
struct Settled {
    position: u64,
    failed: bool,
    slow: bool,
}

struct Model {
    settings: policy::Breaker,
    mode: Mode,
    mode_until: Option<u64>,
    overridden: bool,
    state: State,
    epoch: u64,
    opened_in_a_row: u32,
    open_from: u64,
    open_for: u64,
    /// The bounds the real open period must keep, when it was just decided.
    expected: Option<(f64, f64)>,
    needed: usize,
    good: usize,
    granted: usize,
    probes: Vec<Probe>,
    settled: Vec<Settled>,
    row: Vec<u64>,
    seen: Vec<(u64, u64)>,
    ledger: Ledger,
    next_id: usize,
}

impl Model {
    fn new(settings: &policy::Breaker) -> Model {
        Model {
            settings: settings.clone(),
            mode: own_mode(settings),
            mode_until: None,
            overridden: false,
            state: State::Closed,
            epoch: 0,
            opened_in_a_row: 0,
            open_from: 0,
            open_for: 0,
            expected: None,
            needed: 0,
            good: 0,
            granted: 0,
            probes: vec![],
            settled: vec![],
            row: vec![],
            seen: vec![],
            ledger: Ledger::default(),
            next_id: 0,
        }
    }

    fn become_(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
        self.probes.clear();
        if state == State::Closed {
            self.opened_in_a_row = 0;
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.settled.clear();
        self.row.clear();
        self.seen.clear();
    }

    fn open(&mut self, now: u64, asked: Option<Duration>) {
        self.become_(State::Open);
        let cap = self.settings.open_cap.as_secs_f64();
        let step =
            (self.settings.open_base.as_secs_f64() * f64::from(1 << self.opened_in_a_row.min(20))).min(cap);
        let asked = asked.map_or(0.0, |asked| asked.as_secs_f64()).min(cap);
        self.expected = Some(((step * 0.8).max(asked), (step * 1.2).min(cap).max(asked)));
        self.opened_in_a_row += 1;
        self.open_from = now;
    }

    fn enter(&mut self, mode: Mode, until: Option<u64>) {
        self.mode_until = until;
        if self.mode != mode {
            self.mode = mode;
            self.become_(if mode == Mode::ForcedOpen { State::ForcedOpen } else { State::Closed });
        }
    }

    fn expire(&mut self, now: u64) {
        if self.mode_until.is_some_and(|until| now >= until) {
            self.overridden = false;
            self.enter(own_mode(&self.settings), None);
        }
    }

    fn acquire(&mut self, now: u64) -> Option<(Kind, usize)> {
        self.expire(now);
        if self.state == State::HalfOpen
            && self.probes.iter().any(|probe| now >= probe.due && !probe.answered)
        {
            self.open(now, None);
            // The real period is not known yet; it is longer than nothing.
            self.open_for = SECOND;
        } else if self.state == State::HalfOpen {
            let before = self.probes.len();
            self.probes.retain(|probe| now < probe.due);
            (self.probes.len()..before).for_each(|_| self.count_good());
        }
        if self.state == State::Open && now >= self.open_from + self.open_for {
            self.become_(State::HalfOpen);
            (self.needed, self.good, self.granted) = (self.settings.probes as usize, 0, 0);
        }
        let kind = match self.state {
            State::Closed => Some(Kind::Call),
            State::HalfOpen if self.granted < self.needed => Some(Kind::Probe),
            _ => (self.mode == Mode::MetricsOnly).then_some(Kind::Shadow),
        };
        let id = self.next_id;
        self.next_id += 1;
        match kind {
            Some(Kind::Probe) => {
                self.granted += 1;
                let due = now + self.open_for.max(30 * SECOND);
                self.probes.push(Probe { id, due, answered: false });
            }
            Some(Kind::Shadow) => self.ledger.would_reject += 1,
            _ => {}
        }
        *(if kind.is_some() { &mut self.ledger.admitted } else { &mut self.ledger.rejected }) += 1;
        kind.map(|kind| (kind, id))
    }

    fn count_good(&mut self) {
        self.good += 1;
        if self.good == self.needed {
            self.become_(State::Closed);
        }
    }

    fn finish(&mut self, call: &Call, outcome: Outcome, now: u64) {
        let took = call.headers_took.or(call.started.map(|started| now - started));
        let slow_call = self.settings.slow_call;
        let slow =
            took.is_some_and(|took| slow_call.is_some_and(|slow| took > slow.threshold.as_nanos() as u64));
        let probe = self.probes.iter().position(|probe| probe.id == call.id);
        let stale = call.epoch != self.epoch
            || call.kind == Kind::Shadow
            || call.kind == Kind::Probe && probe.is_none();
        let line = match outcome {
            _ if stale => &mut self.ledger.stale,
            Outcome::Neutral => &mut self.ledger.neutral,
            Outcome::Success if slow => &mut self.ledger.slow,
            Outcome::Success => &mut self.ledger.success,
            Outcome::Failure { .. } => &mut self.ledger.failure,
        };
        *line += 1;
        if stale {
            return;
        }
        if let Some(position) = probe {
            self.probes.remove(position);
            match outcome {
                Outcome::Neutral => self.granted -= 1,
                Outcome::Success if !slow => self.count_good(),
                Outcome::Success => self.open(now, None),
                Outcome::Failure { retry_after, .. } => self.open(now, retry_after),
            }
        } else if outcome != Outcome::Neutral {
            self.judge(call.caller, outcome, slow, now);
        }
    }

    fn judge(&mut self, caller: u64, outcome: Outcome, slow: bool, now: u64) {
        let position = match self.settings.window {
            policy::Window::Duration(_) => now,
            policy::Window::Calls(_) => self.settled.len() as u64,
        };
        self.settled.push(Settled { position, failed: matches!(outcome, Outcome::Failure { .. }), slow });
        let row = self.settings.consecutive_failures as usize;
        if row > 0 {
            self.seen.push((caller, now));
            if matches!(outcome, Outcome::Failure { transport: true, .. }) {
                self.row.push(caller);
            } else {
                self.row.clear();
            }
        }
        let several = |callers: &[u64]| callers.iter().any(|other| *other != callers[0]);
        let present: Vec<_> =
            self.seen.iter().filter(|(_, at)| now - at <= 60 * SECOND).map(|(caller, _)| *caller).collect();
        let in_a_row = row > 0 && self.row.len() >= row && (several(&self.row) || !several(&present));
        let (calls, failures, slow) = self.window(now);
        let rate = |part: u64, limit: f64| part > 0 && part as f64 / calls as f64 >= limit;
        let exceeded = calls >= u64::from(self.settings.minimum_calls)
            && (rate(failures, self.settings.failure_rate)
                || self.settings.slow_call.is_some_and(|limit| rate(slow, limit.rate)));
        if (in_a_row || exceeded) && self.mode != Mode::ForcedClosed {
            self.open(now, None);
        }
    }

    /// Calls, failures and slow calls of the last ten tenths of the window.
    fn window(&self, now: u64) -> (u64, u64, u64) {
        let (width, buckets, newest) = match self.settings.window {
            policy::Window::Duration(length) => (length.as_nanos() as u64 / 10, 10, now),
            policy::Window::Calls(calls) => {
                let width = u64::from(calls).div_ceil(10);
                (width, u64::from(calls).div_ceil(width), (self.settled.len() as u64).saturating_sub(1))
            }
        };
        let held = self.settled.iter().filter(|call| call.position / width + buckets > newest / width);
        held.fold((0, 0, 0), |(calls, failures, slow), call| {
            (calls + 1, failures + u64::from(call.failed), slow + u64::from(call.slow))
        })
    }
}

fn own_mode(settings: &policy::Breaker) -> Mode {
    match settings.mode {
        policy::BreakerMode::Auto => Mode::Auto,
        policy::BreakerMode::MetricsOnly => Mode::MetricsOnly,
    }
}
