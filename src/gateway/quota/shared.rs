//! A quota that replicas share: tokens come from Redis in small batches, so that few calls ask it; while it is away, each
//! replica goes by what the policy says.
//!
//! Times are nanoseconds since `base`.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::Missing;
use super::bucket::Bucket;
use crate::fleet::{Fleet, Replicas};
use crate::models::policy::{self, OnStoreLoss};
use crate::redis::{Redis, RedisError, Script, USUAL_LIMIT};
use crate::telemetry::metrics::{QuotaAsk, UpstreamMetrics};

/// What a batch is worth at the pace at which this replica uses tokens: it asks about ten times a second.
const BATCH: u64 = 100_000_000;
/// How long a token counts that was fetched, and how far ahead one is reserved. This is what may be used too much:
/// in any time T replicas use at most burst + rate × (T + this).
const LEASE: u64 = 200_000_000;
/// How long an answer is waited for that nobody waits for any more: what it gives is as good as if it had come in time.
const LATE: Duration = Duration::from_millis(150);
/// After how long Redis is asked again that is away.
const AWAY: u64 = 1_000_000_000;
/// How long a replica goes by its share when an answer is late.
const SLOW: u64 = 100_000_000;

static TAKE: Script = Script::new(include_str!("take.lua"));
static PAUSE: Script = Script::new(include_str!("pause.lua"));

/// The quota as this replica sees it.
#[derive(Debug)]
pub(super) struct Shared {
    redis: Redis,
    replicas: Replicas,
    tasks: TaskTracker,
    key: String,
    interval: u64,
    burst: u32,
    on_store_loss: OnStoreLoss,
    base: Instant,
    state: Mutex<State>,
    answered: Notify,
    metrics: Arc<UpstreamMetrics>,
}

/// Where a shared quota's tokens come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its replica alone.
    Replica,
    /// Redis.
    Fleet,
    /// This replica's share of the rate: Redis is away.
    LocalShare,
    /// Nowhere: Redis is away, and everything passes.
    Open,
    /// Nowhere: Redis is away, and nothing passes.
    Closed,
}

impl Standing {
    /// The word for it in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::Fleet => "fleet",
            Self::LocalShare => "local_share",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    /// Redis said that there is none before.
    none_until: u64,
    /// Redis is not asked before.
    lost_until: u64,
    /// It did not answer in time when it was asked last.
    lost: bool,
    /// A question is out.
    asking: bool,
    /// A pause some replica learned.
    paused_until: u64,
    fetched: u64,
    used: u64,
    /// Tokens of the share that were used while Redis was only slow: the next batch is less by them.
    owed: u32,
    /// For so many replicas.
    share: Option<(u32, Bucket)>,
}

/// Tokens that were fetched.
#[derive(Debug, Default)]
struct Batch {
    left: u32,
    from: u64,
    until: u64,
}

/// Whence a token came, for the case that it is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Batch,
    Share,
    Nowhere,
    Replica,
}

impl Shared {
    /// The quota of this name. Nothing is fetched yet.
    pub(super) fn new(
        settings: &policy::Quota,
        name: &str,
        fleet: &Fleet,
        redis: &Redis,
        (base, metrics): (Instant, &Arc<UpstreamMetrics>),
    ) -> Arc<Self> {
        Arc::new(Self {
            redis: redis.clone(),
            replicas: fleet.replicas.clone(),
            tasks: fleet.tasks.clone(),
            key: redis.key("quota", name),
            interval: settings.rate.interval(),
            burst: settings.burst,
            on_store_loss: settings.on_store_loss,
            base,
            state: Mutex::default(),
            answered: Notify::new(),
            metrics: Arc::clone(metrics),
        })
    }

    /// Takes a token that is here, or says when one may be, or that Redis has to be asked.
    pub(super) fn take(&self, now: u64, since: u64) -> Result<Origin, Missing> {
        let mut state = self.state.lock();
        if now < state.lost_until {
            return self.without_redis(&mut state, now, since);
        }
        if state.batch.left == 0 || now >= state.batch.until {
            return Err(if now < state.none_until {
                Missing::Until(state.none_until)
            } else {
                Missing::Unasked
            });
        }
        if now < state.batch.from {
            return Err(Missing::Until(state.batch.from));
        }
        state.batch.left -= 1;
        state.used += 1;
        Ok(Origin::Batch)
    }

    /// Asks Redis for a batch and waits for it, not longer than `limit`. Whatever comes of it, [`take`](Self::take) knows
    /// more afterwards. The question goes on in a task of its own: what it brings counts even if it comes late, or
    /// whoever asked has left.
    pub(super) async fn ask(self: &Arc<Self>, waiting: usize, limit: Duration) {
        let answered = self.answered.notified();
        let question = self.state.lock().begin_to_ask(self, waiting);
        if let Some(question) = question {
            let shared = Arc::clone(self);
            self.tasks.spawn(async move { shared.fetch(question).await });
        }
        if timeout(limit, answered).await.is_err() {
            self.metrics.quota_ask(QuotaAsk::Late);
            let mut state = self.state.lock();
            // It may have come just now.
            if state.asking {
                state.lose(self.now(), SLOW);
            }
        }
    }

    async fn fetch(&self, Question { wanted, owed }: Question) {
        // Dropped at the end, or when the runtime drops the task: nobody waits in vain.
        let _told = Told(self);
        let arguments = vec![
            (self.interval as f64 / 1000.0).into(),
            i64::from(self.burst).into(),
            i64::from(wanted).into(),
            (LEASE / 1000).cast_signed().into(),
            i64::from(owed).into(),
        ];
        let asked = self.redis.script::<Vec<i64>>(LATE, &TAKE, vec![self.key.clone()], arguments).await;
        let (now, mut state) = (self.now(), self.state.lock());
        let result = match asked.as_deref() {
            Ok(&[given, wait, pause]) => state.answered(now, owed, [given, wait, pause]),
            Err(RedisError::Slow(_)) if self.redis.is_up() => state.lose(now, SLOW),
            Ok(_) | Err(_) => {
                state.owed = 0;
                state.lose(now, AWAY)
            }
        };
        self.metrics.quota_ask(result);
    }

    /// A token that was not used.
    pub(super) fn give_back(&self, origin: Origin) {
        let state = &mut *self.state.lock();
        match (origin, &state.share) {
            (Origin::Batch, _) => {
                state.batch.left += 1;
                state.used = state.used.saturating_sub(1);
            }
            (Origin::Share, Some((_, share))) => {
                share.give_back();
                state.owed = state.owed.saturating_sub(1);
            }
            (Origin::Share, None) | (Origin::Nowhere | Origin::Replica, _) => {}
        }
    }

    /// Lets the other replicas know of a pause, as soon as Redis takes it.
    pub(super) fn spread(&self, pause: Duration) {
        let (redis, key) = (self.redis.clone(), self.key.clone());
        self.tasks.spawn(async move {
            let arguments = vec![(pause.as_micros() as i64).into()];
            // Where it does not, the others learn it from the upstream as this one did.
            let _ = redis.script::<i64>(USUAL_LIMIT, &PAUSE, vec![key], arguments).await;
        });
    }

    /// Until when some replica learned that the upstream wants a pause.
    pub(super) fn paused_until(&self) -> u64 {
        self.state.lock().paused_until
    }

    /// Before then there is certainly none.
    pub(super) fn next_at(&self) -> u64 {
        let state = self.state.lock();
        if state.batch.left > 0 { state.batch.from } else { state.none_until }
    }

    /// Tokens that this replica could use at once.
    pub(super) fn remaining(&self, now: u64) -> u64 {
        let state = self.state.lock();
        match (self.standing_in(&state), &state.share) {
            (Standing::Fleet | Standing::Replica, _) if now >= state.batch.until => 0,
            (Standing::Fleet | Standing::Replica, _) => u64::from(state.batch.left),
            (Standing::LocalShare, Some((_, share))) => share.remaining(now),
            (Standing::LocalShare, None) => u64::from(self.burst.div_ceil(self.replicas.live())),
            (Standing::Open, _) => u64::from(self.burst),
            (Standing::Closed, _) => 0,
        }
    }

    /// Where its tokens come from now.
    pub(super) fn standing(&self) -> Standing {
        self.standing_in(&self.state.lock())
    }

    fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    fn standing_in(&self, state: &State) -> Standing {
        match self.on_store_loss {
            _ if self.redis.is_up() && !state.lost => Standing::Fleet,
            OnStoreLoss::LocalShare => Standing::LocalShare,
            OnStoreLoss::Open => Standing::Open,
            OnStoreLoss::Closed => Standing::Closed,
        }
    }

    fn without_redis(&self, state: &mut State, now: u64, since: u64) -> Result<Origin, Missing> {
        match self.on_store_loss {
            OnStoreLoss::Open => Ok(Origin::Nowhere),
            OnStoreLoss::Closed => Err(Missing::Until(state.lost_until)),
            OnStoreLoss::LocalShare => {
                let live = self.replicas.live();
                let share =
                    || Bucket::new(self.interval.saturating_mul(live.into()), self.burst.div_ceil(live));
                let (count, bucket) = state.share.get_or_insert_with(|| (live, share()));
                if *count != live {
                    (*count, *bucket) = (live, share());
                }
                bucket.take(now, since).map_err(Missing::Until)?;
                if self.redis.is_up() {
                    state.owed = self.burst.min(state.owed + 1);
                }
                Ok(Origin::Share)
            }
        }
    }
}

/// What Redis is asked for.
struct Question {
    wanted: u32,
    owed: u32,
}

impl State {
    /// One question at a time: what was used lately, or as many as wait, so that it is asked about ten times a second, and
    /// nothing hoarded.
    fn begin_to_ask(&mut self, quota: &Shared, waiting: usize) -> Option<Question> {
        if std::mem::replace(&mut self.asking, true) {
            return None;
        }
        let passed = quota.now().saturating_sub(self.fetched).max(1_000_000);
        let lately = (u128::from(self.used) * u128::from(BATCH) / u128::from(passed)) as u64;
        let most = u64::from(quota.burst).min((BATCH / quota.interval).max(1));
        Some(Question { wanted: lately.max(waiting as u64).clamp(1, most) as u32, owed: self.owed })
    }

    /// Times in microseconds, as the script gives them.
    fn answered(&mut self, now: u64, paid: u32, [given, wait, pause]: [i64; 3]) -> QuotaAsk {
        let nanos = |micros: i64| micros.max(0) as u64 * 1000;
        let (from, given) = (now + nanos(wait), given.max(0) as u32);
        (self.fetched, self.used, self.owed) = (now, 0, self.owed.saturating_sub(paid));
        (self.lost, self.lost_until) = (false, 0);
        self.batch = Batch { left: given, from, until: from + LEASE };
        self.none_until = if given == 0 { from } else { 0 };
        self.paused_until = self.paused_until.max(now + nanos(pause));
        if given == 0 { QuotaAsk::None } else { QuotaAsk::Given }
    }

    fn lose(&mut self, now: u64, pause: u64) -> QuotaAsk {
        (self.lost, self.lost_until) = (true, now + pause);
        QuotaAsk::Lost
    }
}

/// Tells whoever waits that the question is answered, or will not be.
struct Told<'a>(&'a Shared);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.state.lock().asking = false;
        self.0.answered.notify_waiters();
    }
}
