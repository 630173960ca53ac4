//! What one call may wait for Redis, all its questions together.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::CALL_LIMIT;

/// The part of [`CALL_LIMIT`] that a call has left. Copies share it, so that all that is done for one call is counted.
#[derive(Debug, Clone, Default)]
pub struct Allowance {
    /// Nanoseconds.
    spent: Arc<AtomicU64>,
}

impl Allowance {
    /// What is left.
    pub fn left(&self) -> Duration {
        CALL_LIMIT.saturating_sub(Duration::from_nanos(self.spent.load(Ordering::Relaxed)))
    }

    /// Asks with a limit of what is left, or of `most` if that is less, and counts the time it took.
    pub async fn spend<Asking: Future>(
        &self,
        most: Duration,
        ask: impl FnOnce(Duration) -> Asking,
    ) -> Asking::Output {
        let began = Instant::now();
        let answer = ask(most.min(self.left())).await;
        self.spent.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_questions_of_a_call_share_one_limit() {
        let (allowance, milliseconds) = (Allowance::default(), Duration::from_millis);
        let ask = async |limit: Duration, needs: Duration| {
            tokio::time::sleep(limit.min(needs)).await;
            limit
        };
        assert_eq!(
            allowance.spend(milliseconds(5), |limit| ask(limit, milliseconds(4))).await,
            milliseconds(5)
        );
        let copy = allowance.clone();
        assert_eq!(copy.spend(CALL_LIMIT, |limit| ask(limit, CALL_LIMIT)).await, milliseconds(6));
        assert_eq!(allowance.spend(CALL_LIMIT, |limit| ask(limit, CALL_LIMIT)).await, Duration::ZERO);
        assert_eq!(Allowance::default().left(), CALL_LIMIT);
    }
}
