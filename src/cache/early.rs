//! When to ask again for what is still fresh: earlier, by chance, the longer a fetch takes, so that one caller's refresh
//! is done before everybody's copy ends (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede
//! Prevention, VLDB 2015); and spread, so that what was fetched together does not end together.

use std::time::Duration;

/// Of the freshness that is left, at most this part goes to spreading.
const SPREAD: f64 = 0.1;

/// The age at which an answer is due for a refresh; drawn once for each answer.
pub(super) fn due(lifetime: Duration, age: Duration, fetch: Duration) -> Duration {
    let left = lifetime.saturating_sub(age);
    let spread = left.mul_f64(SPREAD * fastrand::f64());
    // 1 - u, because u can be 0 and never 1.
    let early = fetch.mul_f64(-(1.0 - fastrand::f64()).ln());
    lifetime.saturating_sub(spread.saturating_add(early).min(left / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_in_the_second_half_of_its_life_and_more_likely_late() {
        let (lifetime, fetch) = (Duration::from_secs(100), Duration::from_millis(500));
        let drawn: Vec<Duration> = (0..1000).map(|_| due(lifetime, Duration::ZERO, fetch)).collect();
        assert!(drawn.iter().all(|due| (lifetime / 2..=lifetime).contains(due)));
        let late = drawn.iter().filter(|due| **due > Duration::from_secs(88)).count();
        assert!(late > 900, "{late}");
        let (first, last) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(last.abs_diff(*first) > Duration::from_secs(5), "{first:?} to {last:?}");
    }

    #[test]
    fn a_fetch_as_long_as_the_life_leaves_half_of_it() {
        for _ in 0..100 {
            assert!(
                due(Duration::from_secs(1), Duration::ZERO, Duration::from_secs(60))
                    >= Duration::from_millis(500)
            );
        }
        assert_eq!(due(Duration::ZERO, Duration::from_secs(5), Duration::from_secs(1)), Duration::ZERO);
    }
}
