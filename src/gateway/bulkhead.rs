//! Stages 6 and 11: how many calls a caller, and how many attempts an upstream, may have in flight.
//!
//! The caller's bulkhead stands outside the retries, so that one caller cannot take all seats; the upstream's
//! stands inside the breaker, so that an open circuit holds no seat. Seats are guards: dropped is given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::models::policy::Concurrency;

/// The seats of an upstream, with a bounded queue before them.
#[derive(Debug)]
pub struct Bulkhead {
    seats: Arc<Semaphore>,
    limit: usize,
    queue: usize,
    queue_timeout: Duration,
    waiting: AtomicUsize,
}

/// One seat; given back when dropped.
pub type Seat = OwnedSemaphorePermit;

/// Why there was no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSeat {
    /// The queue was full too.
    QueueFull,
    /// The queue's time ran out.
    WaitedTooLong,
}

impl Bulkhead {
    /// All seats free.
    pub fn new(settings: &Concurrency) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(settings.limit)),
            limit: settings.limit,
            queue: settings.queue,
            queue_timeout: settings.queue_timeout,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Takes a seat if one is free.
    pub fn enter_now(&self) -> Option<Seat> {
        Arc::clone(&self.seats).try_acquire_owned().ok()
    }

    /// Takes a seat, waiting in line for at most the queue's time and what remains of the call's.
    pub async fn enter(&self, remaining: Duration) -> Result<Seat, NoSeat> {
        if let Some(seat) = self.enter_now() {
            return Ok(seat);
        }
        let _place = Place::take(&self.waiting, self.queue).ok_or(NoSeat::QueueFull)?;
        let wait = self.queue_timeout.min(remaining);
        match tokio::time::timeout(wait, Arc::clone(&self.seats).acquire_owned()).await {
            Ok(Ok(seat)) => Ok(seat),
            Ok(Err(_)) | Err(_) => Err(NoSeat::WaitedTooLong),
        }
    }

    /// Attempts waiting for a seat.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Attempts in flight.
    pub fn in_flight(&self) -> usize {
        self.limit.saturating_sub(self.seats.available_permits())
    }

    /// Seats in all.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// A place in a bounded line.
pub(super) struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    pub(super) fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < most).then_some(now + 1))
            .ok()
            .map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Calls in flight for each caller; callers with none take no memory.
#[derive(Debug)]
pub struct CallerBulkhead {
    most: usize,
    in_flight: Mutex<HashMap<u64, usize>>,
}

/// One caller's place; given back when dropped.
#[derive(Debug)]
pub struct CallerSeat {
    bulkhead: Arc<CallerBulkhead>,
    caller: u64,
}

impl CallerBulkhead {
    /// Nobody in flight.
    pub fn new(settings: &Concurrency) -> Self {
        Self { most: settings.per_caller, in_flight: Mutex::default() }
    }

    /// Takes one of the caller's places, or refuses at once: a caller that floods should learn it soon.
    pub fn enter(self: &Arc<Self>, caller: u64) -> Option<CallerSeat> {
        let mut in_flight = self.in_flight.lock();
        let count = in_flight.entry(caller).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(in_flight);
        Some(CallerSeat { bulkhead: Arc::clone(self), caller })
    }
}

impl Drop for CallerSeat {
    fn drop(&mut self) {
        let mut in_flight = self.bulkhead.in_flight.lock();
        if let Some(count) = in_flight.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(limit: usize, queue: usize) -> Concurrency {
        Concurrency { limit, queue, queue_timeout: Duration::from_millis(100), per_caller: 2 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bulkhead_queues_then_refuses() {
        let bulkhead = Arc::new(Bulkhead::new(&settings(1, 1)));
        let seat = bulkhead.enter(Duration::MAX).await.unwrap();
        let queued = tokio::spawn({
            let bulkhead = Arc::clone(&bulkhead);
            async move { bulkhead.enter(Duration::from_secs(1)).await.map(drop) }
        });
        while bulkhead.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bulkhead.enter(Duration::from_secs(1)).await.unwrap_err(), NoSeat::QueueFull);
        drop(seat);
        assert_eq!(queued.await.unwrap(), Ok(()));
        assert_eq!(bulkhead.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_queue_timeout_or_the_call() {
        let bulkhead = Bulkhead::new(&settings(1, 1));
        let _seat = bulkhead.enter(Duration::from_secs(1)).await.unwrap();
        for (remaining, expected) in [(1_000, 100), (20, 20)] {
            let start = tokio::time::Instant::now();
            let refused = bulkhead.enter(Duration::from_millis(remaining)).await.unwrap_err();
            assert_eq!(refused, NoSeat::WaitedTooLong);
            assert_eq!(start.elapsed().as_millis() as u64 / 2, expected / 2);
        }
    }

    #[test]
    fn one_caller_cannot_take_all_places() {
        let bulkhead = Arc::new(CallerBulkhead::new(&settings(9, 9)));
        let seats: Vec<_> = (0..2).map(|_| bulkhead.enter(1).unwrap()).collect();
        assert!(bulkhead.enter(1).is_none());
        assert!(bulkhead.enter(2).is_some());
        drop(seats);
        assert!(bulkhead.in_flight.lock().is_empty());
        assert!(bulkhead.enter(1).is_some());
    }
}
