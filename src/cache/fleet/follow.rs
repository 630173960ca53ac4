//! Reads the log: a blocking read says that there is news, a script brings it with all that is needed to judge whether
//! any is missing.

use std::sync::Arc;
use std::time::Duration;

use fred::error::{Error, ErrorKind};
use fred::interfaces::StreamsInterface as _;
use fred::types::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::HttpCache;
use super::super::log::News;
use super::super::purges::Heard;
use super::{Fleet, scripts};
use crate::redis::{LONGEST_BLOCK, RedisError};

/// Longest wait for what the log has.
const READ_LIMIT: Duration = Duration::from_millis(500);
/// What a blocking read may take beyond its time.
const BEYOND: Duration = Duration::from_millis(500);
/// Pause after a failure.
const AGAIN: Duration = Duration::from_millis(100);

impl HttpCache {
    /// Follows the log until stopped.
    pub(super) async fn follow_the_log(self: Arc<Self>, stop: CancellationToken) {
        let Some(fleet) = &self.fleet else { return };
        let mut watching = fleet.redis.watch();
        stop.run_until_cancelled(async {
            loop {
                match Box::pin(self.read_on(fleet)).await {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the log of purges was not read");
                        fleet.log.lose_contact();
                        // Its return ends the pause.
                        let _ = tokio::time::timeout(AGAIN, watching.changed()).await;
                    }
                }
            }
        })
        .await;
    }

    /// Applies all there is, then waits for more.
    async fn read_on(&self, fleet: &Fleet) -> Result<(), RedisError> {
        loop {
            let position = self.purges.position();
            let arguments = scripts::read_arguments(position);
            let answer: Value = fleet
                .redis
                .script(READ_LIMIT, &scripts::READ, scripts::keys(&fleet.redis), arguments)
                .await?;
            let news = scripts::news(answer).ok_or_else(unreadable)?;
            if !self.hear(fleet, &news, Instant::now()) {
                break;
            }
        }
        let (stream, after) = (fleet.redis.key("inv", ""), self.purges.position().id.to_string());
        let block = LONGEST_BLOCK.as_millis() as u64;
        fleet
            .redis
            .wait_for(BEYOND, async |client| {
                client.xread::<Value, _, _>(Some(1), Some(block), stream, after).await
            })
            .await?;
        Ok(())
    }

    /// Applies news; whether there is more.
    pub(in crate::cache) fn hear(&self, fleet: &Fleet, news: &News, now: Instant) -> bool {
        fleet.log.apply(&self.purges, news, now, |heading| {
            let own = heading.source == fleet.log.source;
            let heard = if own { Heard::Echo(heading.id) } else { Heard::Log(heading.id) };
            let target = self.target(&heading.purge.scope);
            self.purges.note(&target, heading.purge.strength, heard, now);
        })
    }
}

fn unreadable() -> RedisError {
    RedisError::Unfit(Error::new(ErrorKind::Parse, "the log of purges cannot be read"))
}
