//! The invalidation log as one replica sees it: what it has yet to say, how far it has heard, and whether it can be
//! trusted to know all. No I/O: [`fleet`](super::fleet) carries words to and from Redis.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::position::{LogId, Position};
use super::purge::Purge;
use super::purges::Purges;

/// What has yet to be said.
mod outbox;

use outbox::{Outbox, Taken};

/// Entries of the log that are read at once.
pub(super) const MOST_READ: usize = 1000;

/// Without contact for so long, what is fresh may have been purged long ago.
pub(super) const BLIND_AFTER: Duration = Duration::from_secs(30);

/// What a reading of the log brought, all of one moment.
#[derive(Debug, Clone)]
pub(super) struct News {
    /// Which log it is.
    pub(super) epoch: u64,
    /// The oldest entry that is still there.
    pub(super) first: LogId,
    /// The newest that ever was.
    pub(super) last: LogId,
    /// Entries have been dropped from its beginning.
    pub(super) trimmed: bool,
    /// What comes after the position that was asked for, at most [`MOST_READ`].
    pub(super) entries: Vec<Heading>,
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    pub(super) id: LogId,
    pub(super) purge: Purge,
    /// Who wrote it.
    pub(super) source: u64,
}

/// How the log stands with this replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogReading {
    /// Purges the log has not taken yet.
    pub outbox: usize,
    /// Time since all that the log had was applied, seconds.
    pub silent_seconds: f64,
    /// How late the last entry was applied, seconds.
    pub lag_seconds: f64,
    /// The second level may be read: nothing is missing here, and nothing of ours is missing there.
    pub in_step: bool,
    /// Without contact for so long that fresh answers count as due for a refresh.
    pub blind: bool,
    /// Entries applied since the start.
    pub applied: u64,
    /// Times everything became stale because purges may have been missed.
    pub lost_track: u64,
}

/// This replica's side of the log.
pub(super) struct Log {
    /// This process among those who write.
    pub(super) source: u64,
    outbox: Mutex<Outbox>,
    /// Rings when there is something to say.
    pub(super) waiting: Notify,
    settled: watch::Sender<u64>,
    contact: Mutex<Contact>,
    blind: AtomicBool,
    applied: AtomicU64,
    lost_track: AtomicU64,
    lag_ms: AtomicU64,
}

struct Contact {
    /// When all that the log had was last applied.
    last: Instant,
    /// Something failed since.
    interrupted: bool,
    /// Tickets up to this one have to be settled before the second level is read again.
    owed: u64,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            source: fastrand::u64(..),
            outbox: Mutex::new(Outbox::default()),
            waiting: Notify::new(),
            settled: watch::Sender::new(0),
            contact: Mutex::new(Contact { last: Instant::now(), interrupted: true, owed: 0 }),
            blind: AtomicBool::new(false),
            applied: AtomicU64::new(0),
            lost_track: AtomicU64::new(0),
            lag_ms: AtomicU64::new(0),
        }
    }

    /// Takes a purge to be said; the ticket it will be settled under.
    pub(super) fn post(&self, purge: Purge) -> u64 {
        let ticket = self.outbox.lock().add(purge);
        self.waiting.notify_one();
        ticket
    }

    /// What is to be said next.
    pub(super) fn take(&self) -> Vec<Purge> {
        self.outbox.lock().take()
    }

    /// The log took what was taken, the last of it as this entry.
    pub(super) fn settle(&self, purges: &Purges, last: LogId, now: Instant) {
        let Taken { ticket, together } = self.outbox.lock().done(now);
        if together {
            purges.settled_together(ticket, last);
        } else {
            purges.settled(ticket, last);
        }
        self.settled.send_if_modified(|settled| std::mem::replace(settled, ticket) < ticket);
    }

    /// The log did not take it, or it is not known whether it did.
    pub(super) fn put_back(&self) {
        self.outbox.lock().put_back();
        self.lose_contact();
    }

    /// Tells when tickets are settled.
    pub(super) fn settled(&self) -> watch::Receiver<u64> {
        self.settled.subscribe()
    }

    /// Whether the second level can be read.
    pub(super) fn is_in_step(&self) -> bool {
        let contact = self.contact.lock();
        !contact.interrupted && *self.settled.borrow() >= contact.owed
    }

    /// Fresh answers count as due for a refresh.
    pub(super) fn is_blind(&self) -> bool {
        self.blind.load(Ordering::Relaxed)
    }

    /// Nothing came, or nothing could be said.
    pub(super) fn lose_contact(&self) {
        let mut contact = self.contact.lock();
        contact.interrupted = true;
        self.blind.store(contact.last.elapsed() > BLIND_AFTER, Ordering::Relaxed);
    }

    /// Applies what was heard; whether there is more to read. What `mark` does with an entry is the cache's business.
    pub(super) fn apply(&self, purges: &Purges, news: &News, now: Instant, mark: impl Fn(&Heading)) -> bool {
        let reached = purges.position();
        let same = news.epoch == reached.epoch && news.last >= reached.id;
        if !same {
            self.missed(purges, Position { epoch: news.epoch, id: news.last }, now);
            self.hear_all(now);
            return false;
        }
        if news.trimmed && reached.id < news.first {
            self.missed(purges, Position { epoch: news.epoch, id: news.first }, now);
        }
        for heading in &news.entries {
            mark(heading);
        }
        if let Some(last) = news.entries.last() {
            self.applied.fetch_add(news.entries.len() as u64, Ordering::Relaxed);
            self.lag_ms.store(age_ms(last.id), Ordering::Relaxed);
            purges.moved(Position { epoch: news.epoch, id: last.id });
        }
        let more = news.entries.len() >= MOST_READ;
        if !more {
            self.hear_all(now);
        }
        more
    }

    /// What there is to see.
    pub(super) fn reading(&self) -> LogReading {
        let outbox = self.outbox.lock().len();
        let silent_seconds = self.contact.lock().last.elapsed().as_secs_f64();
        LogReading {
            outbox,
            silent_seconds,
            lag_seconds: self.lag_ms.load(Ordering::Relaxed) as f64 / 1e3,
            in_step: self.is_in_step(),
            blind: self.is_blind(),
            applied: self.applied.load(Ordering::Relaxed),
            lost_track: self.lost_track.load(Ordering::Relaxed),
        }
    }

    fn missed(&self, purges: &Purges, at: Position, now: Instant) {
        self.lost_track.fetch_add(1, Ordering::Relaxed);
        purges.lost_track(at, now);
    }

    /// All that the log has is applied. After an interruption it may have lost what it took from us last: that is said
    /// again, and the second level is read once it is.
    fn hear_all(&self, now: Instant) {
        let mut contact = self.contact.lock();
        contact.last = now;
        self.blind.store(false, Ordering::Relaxed);
        if std::mem::take(&mut contact.interrupted) {
            contact.owed = self.outbox.lock().say_again(now);
            self.waiting.notify_one();
        }
    }
}

/// How long ago Redis took an entry, by our clock.
fn age_ms(id: LogId) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    now.saturating_sub(id.milliseconds())
}

#[cfg(test)]
mod tests;
