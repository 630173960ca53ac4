//! What changes the state. One transition at a time, under the book's lock: failsafe is asked, the times are
//! written, the control word is published under a new epoch, and the sink hears of it.

use std::sync::Arc;
use std::time::Duration;

use crate::models::policy;

use super::circuit::{Active, Circuit, Evidence, NEVER, Pass, configured_mode, slow_above};
use super::clock::nanos;
use super::control::{Mode, State, Word};
use super::events::{Event, Reason};
use super::ledger::Entry;
use super::machine::Machine;
use super::settlement::Verdict;
use super::sync::{AcqRel, Acquire, Release};

/// A probe may be out this long, or as long as the last open period where that is longer.
const SHORTEST_LEASE: Duration = Duration::from_secs(30);

/// A probe whose response has begun and flows for this long was good enough.
const ANSWERED_LEASE: Duration = Duration::from_secs(5);

/// What transitions need to know, and nobody else.
pub(super) struct Book {
    pub(super) machine: Machine,
    /// When the present state began.
    pub(super) since: u64,
    pub(super) open_for: Duration,
    /// An operator's words on the present mode.
    pub(super) note: Option<Arc<str>>,
    /// The mode is an operator's, not the policy's.
    overridden: bool,
    probes: Probes,
}

/// One half-open state: how many good probes it needs and which are out. Never more than `needed` are.
#[derive(Default)]
struct Probes {
    needed: u16,
    good: u16,
    /// Emptied by every transition, so that what is in it is of the present epoch.
    out: Vec<Lease>,
    next_number: u64,
}

#[derive(Clone, Copy)]
struct Lease {
    number: u64,
    until: u64,
    answered: bool,
}

impl Book {
    pub(super) fn new() -> Book {
        Book {
            machine: Machine::new(),
            since: 0,
            open_for: Duration::ZERO,
            note: None,
            overridden: false,
            probes: Probes::default(),
        }
    }

    pub(super) fn probes_out(&self) -> usize {
        self.probes.out.len()
    }
}

impl Circuit {
    /// A verdict of calls in `epoch`: closed becomes open, unless something else happened first.
    pub(super) fn trip(&self, epoch: u64, reason: Reason, now: u64) {
        let mut book = self.book.lock();
        let word = self.word();
        if word.epoch() == epoch && word.state() == State::Closed && word.mode() != Mode::ForcedClosed {
            self.open(&mut book, reason, Duration::ZERO, now);
        }
    }

    /// The fleet's verdict: closed becomes open for so long, where the breaker decides for itself. Whether it did.
    pub(super) fn adopt(&self, open_for: Duration, now: u64) -> bool {
        let mut book = self.book.lock();
        let word = self.word();
        let decides = word.state() == State::Closed && word.mode() == Mode::Auto;
        if decides {
            book.machine.open();
            let cap = self.active.load().settings.open_cap;
            self.stay_open(&mut book, open_for.min(cap), Reason::Fleet, now);
        }
        decides
    }

    /// The fleet's verdict is over: what it alone opened is closed as before. Whether it was.
    pub(super) fn disown(&self, now: u64) -> bool {
        let mut book = self.book.lock();
        let word = self.word();
        let adopted = word.state() == State::Open && self.last_reason() == Reason::Fleet;
        if adopted {
            book.machine.reset();
            self.close(&mut book, word.mode(), Reason::Fleet, now);
        }
        adopted
    }

    /// The open period of `epoch` is over: half-open begins with the asker as its first probe.
    pub(super) fn half_open(&self, epoch: u64, now: u64) -> Option<(u64, Pass)> {
        let mut book = self.book.lock();
        let word = self.word();
        if word.epoch() != epoch || word.state() != State::Open {
            return None;
        }
        book.machine.half_open();
        let needed = self.active.load().settings.probes.clamp(1, u32::from(u16::MAX)) as u16;
        book.probes = Probes { needed, next_number: book.probes.next_number, ..Probes::default() };
        let number = self.lease(&mut book, now);
        let epoch =
            self.publish(&mut book, State::HalfOpen, word.mode(), needed - 1, Reason::PeriodOver, now);
        Some((epoch, Pass::Probe(number)))
    }

    /// Writes down a probe whose slot was just taken.
    pub(super) fn lease_probe(&self, epoch: u64, now: u64) -> (u64, Pass) {
        let mut book = self.book.lock();
        // Of an epoch that is over: the number is given to nobody else, so its verdict finds nothing to change.
        let number = if self.word().epoch() == epoch { self.lease(&mut book, now) } else { NEVER };
        (epoch, Pass::Probe(number))
    }

    /// The probe's response has begun: its body may take long and holds up the verdict for a short while only.
    pub(super) fn probe_answered(&self, number: u64, now: u64) {
        let mut book = self.book.lock();
        if let Some(lease) = book.probes.out.iter_mut().find(|lease| lease.number == number) {
            lease.answered = true;
            lease.until = now.saturating_add(nanos(ANSWERED_LEASE));
            self.announce_lease(&book);
        }
    }

    /// A probe came back: a good one counts, a bad one reopens, any other gives its slot to the next caller.
    pub(super) fn settle_probe(&self, number: u64, verdict: Verdict, now: u64) -> Entry {
        let mut book = self.book.lock();
        let position = book.probes.out.iter().position(|lease| lease.number == number);
        let Some(position) = position else { return Entry::Stale };
        book.probes.out.swap_remove(position);
        self.announce_lease(&book);
        match verdict {
            Verdict::Neutral => {
                self.control.fetch_add(Word::ONE_PROBE, AcqRel);
            }
            Verdict::Good => self.count_good_probe(&mut book, now),
            Verdict::Slow => self.open(&mut book, Reason::ProbeFailed, Duration::ZERO, now),
            Verdict::Bad { retry_after, .. } => {
                let asked = retry_after.unwrap_or_default();
                self.open(&mut book, Reason::ProbeFailed, asked, now);
            }
        }
        verdict.entry()
    }

    /// Overdue probes: one that was answered is good, one that was not is lost.
    pub(super) fn call_in_leases(&self, now: u64) {
        let mut book = self.book.lock();
        let overdue = |lease: &Lease| lease.until <= now;
        if book.probes.out.iter().any(|lease| overdue(lease) && !lease.answered) {
            self.open(&mut book, Reason::ProbeLost, Duration::ZERO, now);
            return;
        }
        while let Some(position) = book.probes.out.iter().position(overdue) {
            book.probes.out.swap_remove(position);
            self.count_good_probe(&mut book, now);
        }
        self.announce_lease(&book);
    }

    /// Puts the breaker into a mode. In the mode it already has only the words and the expiry are replaced. The
    /// policy's own mode needs no expiry.
    pub(super) fn set_mode(&self, mode: Mode, note: &str, expires: Option<Duration>, now: u64) {
        let mut book = self.book.lock();
        book.overridden = mode != configured_mode(&self.active.load().settings);
        let expires = expires.filter(|_| book.overridden);
        let until = expires.map_or(NEVER, |expires| now.saturating_add(nanos(expires)));
        self.enter(&mut book, mode, Some(note.into()), until, Reason::Operator, now);
    }

    /// An operator takes the mode back.
    pub(super) fn release_mode(&self, now: u64) {
        let mut book = self.book.lock();
        if book.overridden {
            let mode = configured_mode(&self.active.load().settings);
            book.overridden = false;
            self.enter(&mut book, mode, None, NEVER, Reason::Operator, now);
        }
    }

    /// An operator's mode is over: the policy's takes its place.
    pub(super) fn expire_mode(&self, now: u64) {
        let mut book = self.book.lock();
        if now >= self.mode_until.load(Acquire) {
            let mode = configured_mode(&self.active.load().settings);
            book.overridden = false;
            self.enter(&mut book, mode, None, NEVER, Reason::Expired, now);
        }
    }

    /// Replaces the settings. Counts stay where the window keeps its shape; open periods and probes run on as begun.
    pub(super) fn reconfigure(&self, settings: &policy::Breaker, now: u64) {
        let mut book = self.book.lock();
        let evidence = {
            let active = self.active.load();
            if active.evidence.window.kind() == settings.window {
                active.evidence.window.judge_anew();
                if active.settings.consecutive_failures != settings.consecutive_failures {
                    active.evidence.streak.end();
                }
                Arc::clone(&active.evidence)
            } else {
                Arc::new(Evidence::new(active.evidence.epoch, settings, self.lanes))
            }
        };
        self.active.store(Active { settings: settings.clone(), evidence });
        self.slow_above.store(slow_above(settings), Release);
        let mode = configured_mode(settings);
        if !book.overridden && self.word().mode() != mode {
            self.enter(&mut book, mode, None, NEVER, Reason::Policy, now);
        }
    }

    /// A new mode starts afresh: closed with nothing counted, or forced open.
    fn enter(
        &self,
        book: &mut Book,
        mode: Mode,
        note: Option<Arc<str>>,
        until: u64,
        reason: Reason,
        now: u64,
    ) {
        book.note = note;
        self.mode_until.store(until, Release);
        if self.word().mode() == mode {
            return;
        }
        book.probes.out.clear();
        if mode == Mode::ForcedOpen {
            book.machine.open();
            book.open_for = Duration::from_nanos(until.saturating_sub(now));
            self.publish(book, State::ForcedOpen, mode, 0, reason, now);
        } else {
            book.machine.reset();
            self.close(book, mode, reason, now);
        }
    }

    fn count_good_probe(&self, book: &mut Book, now: u64) {
        book.probes.good += 1;
        if book.probes.good == book.probes.needed {
            book.machine.close();
            self.close(book, self.word().mode(), Reason::ProbesGood, now);
        }
    }

    /// failsafe is closed: nothing that was seen before counts any more.
    fn close(&self, book: &mut Book, mode: Mode, reason: Reason, now: u64) {
        let settings = self.active.load().settings.clone();
        let evidence = Arc::new(Evidence::new(self.word().epoch() + 1, &settings, self.lanes));
        self.active.store(Active { settings, evidence });
        self.publish(book, State::Closed, mode, 0, reason, now);
    }

    /// `asked` is what the upstream's `Retry-After` asks for; it is honoured up to the cap.
    fn open(&self, book: &mut Book, reason: Reason, asked: Duration, now: u64) {
        let times = book.machine.open();
        let active = self.active.load();
        let (base, cap) = (active.settings.open_base, active.settings.open_cap);
        self.stay_open(book, backoff(times, base, cap).max(asked.min(cap)), reason, now);
    }

    fn stay_open(&self, book: &mut Book, open_for: Duration, reason: Reason, now: u64) {
        book.open_for = open_for;
        book.probes.out.clear();
        self.open_until.store(now.saturating_add(nanos(book.open_for)), Release);
        self.publish(book, State::Open, self.word().mode(), 0, reason, now);
    }

    /// Begins a new epoch, tells the sink, and returns the epoch.
    fn publish(&self, book: &mut Book, to: State, mode: Mode, probes: u16, reason: Reason, now: u64) -> u64 {
        let before = self.word();
        let word = Word::new(before.epoch() + 1, probes, mode, to);
        let totals = self.active.load().evidence.window.totals(now);
        book.since = now;
        self.announce_lease(book);
        self.reason.store(reason as u64, Release);
        self.control.store(word.0, Release);
        debug_assert!(book.machine.is(if to == State::ForcedOpen { "open" } else { to.as_str() }));
        let refuses = to == State::Open || to == State::ForcedOpen && self.mode_expires();
        (self.sink)(&Event {
            epoch: word.epoch(),
            from: before.state(),
            to,
            mode,
            reason,
            note: book.note.clone(),
            failure_rate: totals.failure_rate(),
            slow_rate: totals.slow_rate(),
            calls: totals.calls,
            open_for: refuses.then_some(book.open_for),
            at: self.clock.instant(now),
        });
        word.epoch()
    }

    pub(super) fn mode_expires(&self) -> bool {
        self.mode_until.load(Acquire) != NEVER
    }

    fn lease(&self, book: &mut Book, now: u64) -> u64 {
        let number = book.probes.next_number;
        let until = now.saturating_add(nanos(book.open_for.max(SHORTEST_LEASE)));
        book.probes.next_number += 1;
        book.probes.out.push(Lease { number, until, answered: false });
        self.announce_lease(book);
        number
    }

    fn announce_lease(&self, book: &Book) {
        let first = book.probes.out.iter().map(|lease| lease.until).min();
        self.lease_until.store(first.unwrap_or(NEVER), Release);
    }
}

/// Doubles from `base` to `cap` as the breaker opens for the `times`-th time in a row, a fifth more or less at
/// random, never beyond `cap`.
fn backoff(times: u32, base: Duration, cap: Duration) -> Duration {
    let doubled = base.saturating_mul(1 << times.saturating_sub(1).min(30)).min(cap);
    doubled.mul_f64(0.8 + 0.4 * fastrand::f64()).min(cap)
}
