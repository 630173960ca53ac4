//! How long what is stored could stand in for an upstream that is away: what the `stale` fallback has left.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::HttpCache;
use super::entry::Entry;
use super::purges::Validity;

impl HttpCache {
    /// For each operation (`rates/quote`, as keys have it) that `stale_fallback` gives a `maxAge`: the time left to
    /// every answer stored for it. Looks at everything that is stored, so it is for a scrape, not for a call.
    pub fn runways(
        &self,
        now: Instant,
        stale_fallback: impl Fn(&str) -> Option<Duration>,
    ) -> HashMap<String, Vec<Duration>> {
        let mut runways = HashMap::<String, Vec<Duration>>::new();
        self.memory.each(|entry| {
            let Some(operation) = entry.key.operation() else { return };
            if let Some(max_age) =
                stale_fallback(operation).filter(|_| self.purges.judge(entry) != Validity::Gone)
            {
                let left = entry.stands_in_for(now, max_age);
                match runways.get_mut(operation) {
                    Some(known) => known.push(left),
                    None => drop(runways.insert(operation.to_owned(), vec![left])),
                }
            }
        });
        runways
    }
}

/// The middle of what is left: half of the answers stand in for longer. Zero of nothing.
pub fn median(mut left: Vec<Duration>) -> Duration {
    let middle = left.len() / 2;
    if left.is_empty() { Duration::ZERO } else { *left.select_nth_unstable(middle).1 }
}

impl Entry {
    /// For how long the `stale` fallback could still answer with it.
    fn stands_in_for(&self, now: Instant, max_age: Duration) -> Duration {
        let past_freshness = if self.terms.never_stale { Duration::ZERO } else { max_age };
        self.terms.lifetime.saturating_add(past_freshness).saturating_sub(self.age(now))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::super::RequestView;
    use super::super::fixtures::{World, get, seconds};
    use super::*;

    #[test]
    fn what_is_left_shrinks_with_time_and_only_what_may_be_stale_is_asked_for() {
        let mut world = World::new();
        world.stale_fallback = seconds(100);
        let none = HeaderMap::new();
        let never_stale = RequestView { path: "/quotes/2", ..get(&none) };
        let without_fallback = RequestView { operation: "rates/other", ..get(&none) };
        world.store(&["cache-control: max-age=60"]);
        world.fetch(&never_stale, 200, &["cache-control: max-age=600, must-revalidate"]).unwrap();
        world.fetch(&without_fallback, 200, &["cache-control: max-age=60"]).unwrap();
        let left = |world: &World| {
            let fallback = |operation: &str| (operation == "rates").then(|| seconds(100));
            let mut runways = world.cache.runways(world.now, fallback);
            let mut left = runways.remove("rates").unwrap();
            assert!(runways.is_empty());
            left.sort_unstable();
            left
        };
        assert_eq!(left(&world), [seconds(160), seconds(600)]);
        world.pass(61);
        assert_eq!(left(&world), [seconds(99), seconds(539)]);
        world.pass(200);
        assert_eq!(left(&world), [seconds(0), seconds(339)]);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let of = |list: &[u64]| median(list.iter().map(|left| seconds(*left)).collect());
        assert_eq!((of(&[]), of(&[7]), of(&[900, 1, 30])), (seconds(0), seconds(7), seconds(30)));
    }
}
