//! One replica of the fleet probes an upstream at a time: shortly before its breaker's open period ends, each asks for the
//! one lease; who does not get it waits, and asks again. The lease is given back when the probing is over, and runs out
//! by itself where its holder has no calls to probe with, or is gone. Whose lease ran out unused asks again only
//! when it has turned calls away since, so that who has no calls keeps nobody from probing.
//!
//! A breaker is only ever held for two seconds, anew at each turn: where nobody can say who has the lease, each probes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Name;
use crate::gateway::breaker::{Breaker, Mode, State, View};
use crate::redis::{Redis, RedisError, Script};
use crate::telemetry::metrics::{Metrics, ProbeLease};

/// How long before the end of an open period the lease is asked for. Periods shorter than a turn are not coordinated.
const AHEAD: Duration = Duration::from_secs(1);
/// How long a lease lasts that is not renewed.
const LEASE: Duration = Duration::from_secs(3);
/// How long a breaker is held after the lease was somebody else's.
const HOLD: Duration = Duration::from_secs(2);
/// Longest wait for an answer about a lease.
const LIMIT: Duration = Duration::from_millis(250);

/// Where leases are kept. `None` where nobody can say.
pub(super) trait Leases {
    /// Takes the lease, unless somebody has it.
    fn take(&self, name: &Name, token: &str) -> impl Future<Output = Option<bool>> + Send;
    /// Whether anybody has it.
    fn is_taken(&self, name: &Name) -> impl Future<Output = Option<bool>> + Send;
    /// Makes it last, if it is still this token's.
    fn renew(&self, name: &Name, token: &str) -> impl Future<Output = Option<bool>> + Send;
    /// Gives it back, if it is still this token's.
    fn give_back(&self, name: &Name, token: &str) -> impl Future<Output = ()> + Send;
}

/// The leases this replica holds.
pub(super) struct Probing {
    replica: String,
    metrics: Arc<Metrics>,
    held: HashMap<Name, Held>,
    taken: u64,
}

struct Held {
    token: String,
    /// By our own clock, from before it was asked for: never later than it really runs out.
    until: Instant,
    /// Calls that had been let through when it was last taken or renewed.
    admitted: u64,
    /// Calls that had been turned away then.
    rejected: u64,
}

impl Probing {
    pub(super) fn new(replica: &str, metrics: Arc<Metrics>) -> Self {
        Self { replica: replica.to_owned(), metrics, held: HashMap::new(), taken: 0 }
    }

    /// One turn for one breaker.
    pub(super) async fn attend(&mut self, name: Name, breaker: &Breaker, leases: &impl Leases) {
        let view = breaker.view();
        match view.state {
            State::Open if view.mode == Mode::Auto && is_due(&view) => {
                self.approach(name, breaker, &view, leases).await;
            }
            State::HalfOpen => self.keep(name, breaker, &view, leases).await,
            State::Closed | State::Open | State::ForcedOpen => {
                if let Some(held) = self.held.remove(&name) {
                    leases.give_back(&name, &held.token).await;
                }
            }
        }
    }

    /// Gives everything back.
    pub(super) async fn end(&mut self, leases: &impl Leases) {
        for (name, held) in self.held.drain() {
            leases.give_back(&name, &held.token).await;
        }
    }

    /// Whether a breaker that is plainly closed still has a lease to give back.
    pub(super) fn holds(&self, upstream: &str, operation: Option<&str>) -> bool {
        !self.held.is_empty() && self.held.contains_key(&(upstream.to_owned(), operation.map(str::to_owned)))
    }

    /// Open, and soon to probe: asks for the lease, unless it has it or had it in vain.
    async fn approach(&mut self, name: Name, breaker: &Breaker, view: &View, leases: &impl Leases) {
        let in_vain = match self.held.get(&name) {
            Some(held) if held.until > Instant::now() => return,
            Some(held) => view.ledger.rejected == held.rejected,
            None => false,
        };
        if !in_vain {
            self.ask(name, breaker, view, leases).await;
        } else if leases.is_taken(&name).await == Some(true) {
            breaker.hold_probes(HOLD);
        }
    }

    /// Half-open: the lease lasts while probes are out or follow each other, and who probes without one takes it.
    async fn keep(&mut self, name: Name, breaker: &Breaker, view: &View, leases: &impl Leases) {
        let now = Instant::now();
        let held = self.held.get(&name).filter(|held| held.until > now);
        let probes = view.probes_out > 0 || held.is_some_and(|held| view.ledger.admitted > held.admitted);
        match held.map(|held| held.until - now) {
            Some(left) if probes && left < LEASE / 2 => self.renew(&name, view, leases).await,
            None if probes => self.ask(name, breaker, view, leases).await,
            _ => {}
        }
    }

    async fn ask(&mut self, name: Name, breaker: &Breaker, view: &View, leases: &impl Leases) {
        self.taken += 1;
        let token = format!("{}:{}", self.replica, self.taken);
        let until = Instant::now() + LEASE;
        match leases.take(&name, &token).await {
            Some(true) => {
                self.metrics.probe_lease(ProbeLease::Won);
                breaker.let_probe();
                let (admitted, rejected) = (view.ledger.admitted, view.ledger.rejected);
                self.held.insert(name, Held { token, until, admitted, rejected });
            }
            Some(false) => {
                self.metrics.probe_lease(ProbeLease::Lost);
                breaker.hold_probes(HOLD);
                self.held.remove(&name);
            }
            None => {
                self.held.remove(&name);
            }
        }
    }

    async fn renew(&mut self, name: &Name, view: &View, leases: &impl Leases) {
        let Some(held) = self.held.get_mut(name) else { return };
        let until = Instant::now() + LEASE;
        match leases.renew(name, &held.token).await {
            Some(true) => (held.until, held.admitted) = (until, view.ledger.admitted),
            // Probes that are out come back all the same.
            Some(false) => drop(self.held.remove(name)),
            None => {}
        }
    }
}

/// Its open period is over, or nearly.
fn is_due(view: &View) -> bool {
    view.open_remaining.is_some_and(|left| left <= AHEAD)
}

static RENEW: Script = Script::new(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0",
);
static GIVE_BACK: Script = Script::new(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
);

impl Leases for Redis {
    async fn take(&self, name: &Name, token: &str) -> Option<bool> {
        use fred::interfaces::KeysInterface as _;
        use fred::types::{Expiration, SetOptions};
        let lasts = Some(Expiration::PX(LEASE.as_millis() as i64));
        let (key, token) = (key(self, name), token.to_owned());
        let set: Result<Option<String>, RedisError> =
            self.call(LIMIT, |client| async move {
                client.set(key, token, lasts, Some(SetOptions::NX), false).await
            })
            .await;
        set.ok().map(|set| set.is_some())
    }

    async fn is_taken(&self, name: &Name) -> Option<bool> {
        use fred::interfaces::KeysInterface as _;
        let key = key(self, name);
        let found: Result<u64, RedisError> =
            self.call(LIMIT, |client| async move { client.exists(key).await }).await;
        found.ok().map(|found| found > 0)
    }

    async fn renew(&self, name: &Name, token: &str) -> Option<bool> {
        let arguments = vec![token.into(), (LEASE.as_millis() as i64).into()];
        let renewed = self.script::<i64>(LIMIT, &RENEW, vec![key(self, name)], arguments).await;
        renewed.ok().map(|renewed| renewed == 1)
    }

    async fn give_back(&self, name: &Name, token: &str) {
        // One that is not given back runs out.
        let _ = self.script::<i64>(LIMIT, &GIVE_BACK, vec![key(self, name)], vec![token.into()]).await;
    }
}

fn key(redis: &Redis, (upstream, operation): &Name) -> String {
    redis.key(format_args!("probe:{upstream}"), operation.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests;
