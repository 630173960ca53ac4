//! Redis as this process finds it: how questions end, and how long the answers take.

use std::time::Duration;

use prometheus::proto::MetricFamily;

use super::counts::{Counts, Durations};
use super::families::{REDIS_BREAKER_OPEN, REDIS_DURATION, REDIS_QUESTIONS};
use super::labels::{Label, label};

label! {
    /// How a question to Redis ended.
    pub enum RedisQuestion {
        /// With an answer, errors about the question included.
        Answered = "answered",
        /// Not within its limit.
        Slow = "slow",
        /// The connection broke, or Redis cannot serve.
        Failed = "failed",
        /// It was not asked: there is no connection, or it failed lately.
        NotAsked = "not_asked",
    }
}

/// What is counted where Redis is asked.
#[derive(Debug, Default)]
pub struct RedisMetrics {
    questions: Counts<RedisQuestion>,
    durations: Durations,
}

impl RedisMetrics {
    /// A question ended so.
    pub fn ended(&self, how: RedisQuestion, took: Duration) {
        self.questions.add(how);
        if how == RedisQuestion::Answered {
            self.durations.record(took);
        }
    }

    pub(super) fn collect(&self, breaker_open: bool) -> [MetricFamily; 3] {
        let (mut questions, mut durations) = (REDIS_QUESTIONS.open(), REDIS_DURATION.open());
        questions.counts(&[], &self.questions);
        durations.durations(&[], &self.durations);
        let mut open = REDIS_BREAKER_OPEN.open();
        open.gauge(&[], f64::from(u8::from(breaker_open)));
        [questions.close(), durations.close(), open.close()]
    }
}
