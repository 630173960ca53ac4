//! Purges that the log has yet to take: bounded, each once, in order. While Redis is away they wait here.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::purge::Purge;

/// Purges that wait; one more, and all of them become one that makes everything stale.
const MOST: usize = 10_000;
/// Purges said at once.
const MOST_AT_ONCE: usize = 100;
/// A Redis that fails over may lose what it took last: that much is said again.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// What the log took of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// Everything up to this ticket.
    pub(super) ticket: u64,
    /// Some of it as one purge of everything.
    pub(super) together: bool,
}

/// The outbox. Tickets are given in order, so what waits has the last ones.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Purge>,
    known: HashSet<Purge>,
    /// On its way to the log.
    flying: Vec<Purge>,
    /// The last ticket given.
    ticket: u64,
    /// The ticket of a purge of everything that stands for those there was no room for.
    sealed: Option<u64>,
    said: VecDeque<(Instant, Purge)>,
}

impl Outbox {
    /// The ticket under which the purge is settled; one that waits already is not said twice.
    pub(super) fn add(&mut self, purge: Purge) -> u64 {
        if self.known.contains(&purge) {
            return self.ticket;
        }
        self.ticket += 1;
        if self.waiting.len() == MOST {
            self.waiting.clear();
            self.known.clear();
            self.sealed = Some(self.ticket);
            self.push(Purge::EVERYTHING_STALE);
        } else {
            self.push(purge);
        }
        self.ticket
    }

    /// The next to be said; they are on their way until [`done`](Self::done) or [`put_back`](Self::put_back).
    pub(super) fn take(&mut self) -> Vec<Purge> {
        let count = self.waiting.len().min(MOST_AT_ONCE);
        self.flying = self.waiting.drain(..count).collect();
        for purge in &self.flying {
            self.known.remove(purge);
        }
        self.flying.clone()
    }

    pub(super) fn done(&mut self, now: Instant) -> Taken {
        self.said.extend(self.flying.drain(..).map(|purge| (now, purge)));
        let surplus = self.said.len().saturating_sub(MOST);
        self.said.drain(..surplus);
        let ticket = self.ticket - self.waiting.len() as u64;
        let together = self.sealed.take_if(|sealed| *sealed <= ticket).is_some();
        Taken { ticket, together }
    }

    pub(super) fn put_back(&mut self) {
        for purge in std::mem::take(&mut self.flying).into_iter().rev() {
            self.known.insert(purge.clone());
            self.waiting.push_front(purge);
        }
    }

    /// What was said lately waits again; the ticket under which all of it is settled.
    pub(super) fn say_again(&mut self, now: Instant) -> u64 {
        for (said, purge) in std::mem::take(&mut self.said) {
            if now.saturating_duration_since(said) <= SAID_AGAIN {
                self.add(purge);
            }
        }
        self.ticket
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.flying.len()
    }

    fn push(&mut self, purge: Purge) {
        self.known.insert(purge.clone());
        self.waiting.push_back(purge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::purge::{Scope, Strength};

    fn path(number: usize) -> Purge {
        Purge { scope: Scope::Path(number.to_string()), strength: Strength::Hard }
    }

    #[tokio::test]
    async fn what_waits_is_said_once_and_in_order() {
        let mut outbox = Outbox::default();
        assert_eq!([1, 2, 1, 3].map(|number| outbox.add(path(number))), [1, 2, 2, 3]);
        assert_eq!(outbox.take(), [path(1), path(2), path(3)]);
        assert_eq!(outbox.add(path(1)), 4, "what is on its way may have been read already");
        assert_eq!(outbox.done(Instant::now()), Taken { ticket: 3, together: false });
        assert_eq!(outbox.take(), [path(1)]);
        outbox.put_back();
        assert_eq!(outbox.len(), 1);
        assert_eq!(outbox.take(), [path(1)]);
        assert_eq!(outbox.done(Instant::now()).ticket, 4);
    }

    #[tokio::test]
    async fn too_many_become_one_that_makes_everything_stale() {
        let mut outbox = Outbox::default();
        for number in 0..=MOST {
            outbox.add(path(number));
        }
        assert_eq!(outbox.take(), [Purge::EVERYTHING_STALE]);
        assert_eq!(outbox.done(Instant::now()), Taken { ticket: MOST as u64 + 1, together: true });
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_in_the_last_minute_is_said_again() {
        let mut outbox = Outbox::default();
        for number in [1, 2] {
            outbox.add(path(number));
            outbox.take();
            outbox.done(Instant::now());
            tokio::time::advance(Duration::from_secs(40)).await;
        }
        outbox.add(path(3));
        assert_eq!(outbox.say_again(Instant::now()), 4);
        assert_eq!(outbox.take(), [path(3), path(2)]);
        outbox.done(Instant::now());
        assert!(outbox.waiting.is_empty());
    }
}
