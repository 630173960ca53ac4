//! Which purges an answer has outlived. Judged when it is read, never when it is written.
//!
//! Two counts tell before from after. Every purge that is applied here gets the next number: an answer that this
//! process fetched is outdated by what came after the number it began at. Purges in the log have ids: an answer that
//! another replica fetched is outdated by ids after the position that replica had reached, and by purges of our own
//! that the log has not taken yet. So a purge that races a fetch wins, whoever fetches.

use std::sync::atomic::{AtomicU64, Ordering};

use globset::{GlobBuilder, GlobMatcher};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::entry::Entry;
use super::position::{LogId, Moment, Origin, Position};
use super::purge::Strength;

/// The last so many of something.
mod recent;

use recent::Recent;

/// Tags and paths noted one by one before the older half is forgotten, and all that is older with it.
const MOST_MARKS: usize = 10_000;
/// The same for globs, which every answer has to be compared with.
const MOST_GLOBS: usize = 500;

/// How an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// No purge is about it.
    Valid,
    /// It has to be confirmed: since when.
    Stale(Instant),
    /// It must not be used.
    Gone,
}

impl Validity {
    /// Since when it has to be confirmed, if it has.
    pub(super) fn stale_since(self) -> Option<Instant> {
        match self {
            Self::Stale(since) => Some(since),
            Self::Valid | Self::Gone => None,
        }
    }
}

/// What a purge is about, as answers are marked.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A path, a tag, an upstream: the hash that answers carry.
    Tag(u64),
    /// Paths of an upstream, given by its hash.
    Glob { upstream: u64, pattern: String },
    /// Everything.
    All,
}

/// How this process learnt of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was made here, and there is no log to tell others.
    Here,
    /// It was made here; the log has yet to take it, under this ticket.
    Pending(u64),
    /// Another replica wrote it into the log.
    Log(LogId),
    /// It is our own, read in the log.
    Echo(LogId),
}

/// How far the log has taken our own purges.
#[derive(Debug, Clone, Copy, Default)]
struct Settled {
    ticket: u64,
    /// The last of those it took.
    id: LogId,
}

/// All purges so far.
pub(super) struct Purges {
    /// The number of the latest purge applied here.
    latest: AtomicU64,
    epoch: AtomicU64,
    id: AtomicU64,
    known: Mutex<Known>,
}

struct Known {
    tags: Recent<u64, Mark>,
    globs: Recent<(u64, String), (Option<GlobMatcher>, Mark)>,
    all: Mark,
    settled: Settled,
    /// The newest entry of the log that was heard of, ahead of the position while a batch is applied.
    highest: LogId,
    /// What began before this is gone: it may have been purged by what is forgotten.
    floor: Stamp,
}

/// The last purge of one thing, of each strength.
#[derive(Clone, Copy)]
struct Mark {
    hard: Stamp,
    soft: Stamp,
    softened: Instant,
}

/// A purge in both counts.
#[derive(Debug, Clone, Copy, Default)]
struct Stamp {
    number: u64,
    id: LogId,
    /// Of our own last purge, until it was read in the log; 0 for none.
    ticket: u64,
}

impl Purges {
    pub(super) fn new() -> Self {
        let known = Known {
            tags: Recent::new(MOST_MARKS),
            globs: Recent::new(MOST_GLOBS),
            all: Mark::new(),
            settled: Settled::default(),
            highest: LogId::default(),
            floor: Stamp::default(),
        };
        Self {
            latest: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            id: AtomicU64::new(0),
            known: Mutex::new(known),
        }
    }

    /// What has been applied so far. What is read here is never ahead of what was applied.
    pub(super) fn moment(&self) -> Moment {
        let number = self.latest.load(Ordering::Acquire);
        Moment { number, at: self.position() }
    }

    /// How far the log has been applied. The epoch is written last and read first: seen with an id of another epoch,
    /// it is the older one, which nothing is valid under.
    pub(super) fn position(&self) -> Position {
        let epoch = self.epoch.load(Ordering::Acquire);
        Position { epoch, id: LogId::from_bits(self.id.load(Ordering::Acquire)) }
    }

    /// The log has been applied up to here.
    pub(super) fn moved(&self, to: Position) {
        self.id.store(to.id.bits(), Ordering::Release);
        self.epoch.store(to.epoch, Ordering::Release);
    }

    /// Applies a purge, or learns where the log has one of our own.
    pub(super) fn note(&self, target: &Target, strength: Strength, heard: Heard, now: Instant) {
        let mut known = self.known.lock();
        let latest = self.latest.load(Ordering::Relaxed);
        let number = if heard.is_new() { latest + 1 } else { latest };
        if let Heard::Log(id) | Heard::Echo(id) = heard {
            known.highest = known.highest.max(id);
        }
        let edge = Stamp { number: latest, id: known.highest.max(self.position().id), ticket: 0 };
        let settled = known.settled.ticket;
        known.mark(target, edge).hear(strength, heard, number, settled, now);
        // Published last and under the lock: whoever sees the number and asks for the marks sees these too.
        self.latest.store(number, Ordering::Release);
    }

    /// The log has taken our own purges up to this ticket, the last of them as this entry.
    pub(super) fn settled(&self, ticket: u64, id: LogId) {
        let mut known = self.known.lock();
        known.settled.ticket = known.settled.ticket.max(ticket);
        known.settled.id = known.settled.id.max(id);
        known.highest = known.highest.max(id);
    }

    /// The same, where some of them never stood in the log by themselves: they are as good as that entry.
    pub(super) fn settled_together(&self, ticket: u64, id: LogId) {
        self.settled(ticket, id);
        let mut known = self.known.lock();
        let settled = known.settled.ticket;
        for mark in known.marks() {
            mark.hard.merge(settled, id);
            mark.soft.merge(settled, id);
        }
    }

    /// Nothing tells any more what was purged: the log is another one, or has a gap. All that is held is stale.
    pub(super) fn lost_track(&self, at: Position, now: Instant) {
        let mut known = self.known.lock();
        let number = self.latest.load(Ordering::Relaxed) + 1;
        known.all.soft = Stamp { number, id: at.id, ..known.all.soft };
        known.all.softened = now;
        self.moved(at);
        self.latest.store(number, Ordering::Release);
    }

    /// How a stored answer stands. One atomic is compared unless there was a purge since the last time.
    pub(super) fn judge(&self, entry: &Entry) -> Validity {
        let latest = self.latest.load(Ordering::Acquire);
        if entry.checked.load(Ordering::Relaxed) == latest {
            return Validity::Valid;
        }
        let validity = self.judge_anew(entry);
        if validity == Validity::Valid {
            entry.checked.store(latest, Ordering::Relaxed);
        }
        validity
    }

    /// The same of an answer that may not have been judged here before.
    pub(super) fn judge_anew(&self, entry: &Entry) -> Validity {
        let known = self.known.lock();
        let origin = &entry.origin;
        if known.floor.floors(origin) {
            return Validity::Gone;
        }
        let mut stale: Option<Instant> = None;
        if matches!(origin, Origin::Elsewhere { at, .. } if at.epoch != self.position().epoch) {
            stale = Some(known.all.softened);
        }
        for mark in known.about(entry) {
            if mark.hard.outdates(origin, known.settled) {
                return Validity::Gone;
            }
            if mark.soft.outdates(origin, known.settled) {
                stale = Some(stale.map_or(mark.softened, |since| since.min(mark.softened)));
            }
        }
        stale.map_or(Validity::Valid, Validity::Stale)
    }
}

impl Known {
    fn mark(&mut self, target: &Target, edge: Stamp) -> &mut Mark {
        match target {
            Target::All => &mut self.all,
            Target::Tag(tag) => {
                let (mark, dropped) = self.tags.entry(*tag, edge, Mark::new);
                self.floor.raise(dropped);
                mark
            }
            Target::Glob { upstream, pattern } => {
                let make = || (matcher(pattern), Mark::new());
                let ((_, mark), dropped) = self.globs.entry((*upstream, pattern.clone()), edge, make);
                self.floor.raise(dropped);
                mark
            }
        }
    }

    fn marks(&mut self) -> impl Iterator<Item = &mut Mark> {
        let globs = self.globs.values_mut().map(|(_, mark)| mark);
        std::iter::once(&mut self.all).chain(self.tags.values_mut()).chain(globs)
    }

    /// The marks that concern an answer.
    fn about<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a Mark> {
        let tags = entry.tags.all().filter_map(move |tag| self.tags.get(&tag));
        let globs = self.globs.iter().filter_map(move |((upstream, _), (matcher, mark))| {
            let meant = *upstream == entry.tags.upstream
                && matcher.as_ref().is_none_or(|matcher| matcher.is_match(entry.key.path()));
            meant.then_some(mark)
        });
        std::iter::once(&self.all).chain(tags).chain(globs)
    }
}

/// A pattern that cannot be read, from another version perhaps, matches everything of its upstream.
fn matcher(pattern: &str) -> Option<GlobMatcher> {
    glob(pattern).ok()
}

/// Reads a glob: `*` and `?` within a segment, `**` across segments, `[…]`, `{…,…}`.
pub(super) fn glob(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|glob| glob.compile_matcher())
}

impl Heard {
    fn is_new(self) -> bool {
        !matches!(self, Self::Echo(_))
    }
}

impl Mark {
    fn new() -> Self {
        Self { hard: Stamp::default(), soft: Stamp::default(), softened: Instant::now() }
    }

    fn hear(&mut self, strength: Strength, heard: Heard, number: u64, settled: u64, now: Instant) {
        if strength == Strength::Soft && heard.is_new() {
            self.softened = now;
        }
        let stamp = match strength {
            Strength::Hard => &mut self.hard,
            Strength::Soft => &mut self.soft,
        };
        match heard {
            Heard::Here => stamp.number = number,
            Heard::Pending(ticket) => (stamp.number, stamp.ticket) = (number, ticket),
            Heard::Log(id) => (stamp.number, stamp.id) = (number, stamp.id.max(id)),
            Heard::Echo(id) => {
                stamp.id = stamp.id.max(id);
                // A later one of ours may still be on its way.
                stamp.ticket = if stamp.ticket <= settled { 0 } else { stamp.ticket };
            }
        }
    }
}

impl Stamp {
    /// What is from elsewhere may be older than a purge of ours that the log has not taken; where it has taken it but
    /// has not shown it yet, the last entry it took is as good.
    fn outdates(&self, origin: &Origin, settled: Settled) -> bool {
        match origin {
            Origin::Here(began) => self.number > began.number,
            Origin::Elsewhere { at, .. } => {
                self.id > at.id || self.ticket > settled.ticket || (self.ticket > 0 && settled.id > at.id)
            }
        }
    }

    /// Our own purge stands in the log as this entry, unless it is still on its way.
    fn merge(&mut self, settled: u64, id: LogId) {
        if (1..=settled).contains(&self.ticket) {
            (self.id, self.ticket) = (self.id.max(id), 0);
        }
    }

    /// As the floor. What came from elsewhere may be older than a purge of ours that is forgotten and that the log has
    /// not taken: for that it counts when it came.
    fn floors(&self, origin: &Origin) -> bool {
        match origin {
            Origin::Here(began) => self.number > began.number,
            Origin::Elsewhere { at, placed } => self.number > *placed || self.id > at.id,
        }
    }

    fn raise(&mut self, to: Option<Self>) {
        if let Some(to) = to {
            *self = Self { number: self.number.max(to.number), id: self.id.max(to.id), ticket: 0 };
        }
    }
}

#[cfg(test)]
mod tests;
