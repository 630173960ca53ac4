//! How many refused logins are written down: guessing must not fill the database.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Entries within [`WINDOW`].
const MOST: u32 = 60;

/// A minute.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts the entries of this minute. What is beyond is counted by the metric only.
#[derive(Default)]
pub(super) struct Noted(Mutex<Option<(Instant, u32)>>);

impl Noted {
    /// Whether one more may be written.
    pub(super) fn one_more(&self) -> bool {
        let mut counted = self.0.lock();
        let (began, entries) =
            counted.filter(|(began, _)| began.elapsed() < WINDOW).unwrap_or((Instant::now(), 0));
        *counted = Some((began, entries.saturating_add(1)));
        if entries == MOST {
            tracing::warn!(
                "more than {MOST} logins were refused within a minute; the rest of it is only counted"
            );
        }
        entries < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_written_down_in_part_and_each_minute_anew() {
        let noted = Noted::default();
        for _ in 0..2 {
            let written = (0..1000).filter(|_| noted.one_more()).count();
            assert_eq!(written, MOST as usize);
            tokio::time::advance(WINDOW).await;
        }
    }
}
