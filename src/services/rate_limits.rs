//! How much each client may ask of the control plane. With Redis replicas share the limits; while it does not answer each
//! goes by what it counted itself, which it does all the time.
//!
//! Each limit is a GCRA (ITU-T I.371, the leaky bucket as a meter): one instant per client, the time at which all it has
//! asked for will have been earned. No timer runs, and a client that stays away costs nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use self::shared::Asks;
use crate::error::Failure;
use crate::identity::ring::KeyRing;
use crate::models::principal::{Class, Principal};
use crate::models::user::folded;
use crate::redis::Redis;
use crate::telemetry::metrics::{Metrics, RateLimit};

/// With other replicas.
mod shared;

/// Clients remembered at most. Beyond it those are forgotten that were seen once and not again, so a flood of new
/// addresses drives itself out and not who is held back already.
const REMEMBERED: usize = 100_000;

/// So many requests at once, earned back evenly over the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests.
    pub requests: u32,
    /// The time in which as many are earned back.
    pub window: Duration,
}

impl Quota {
    /// Of every limit.
    pub const fn of(limit: RateLimit) -> Self {
        let (requests, seconds) = match limit {
            RateLimit::Anonymous => (100, 15 * 60),
            RateLimit::Auth => (10, 60),
            RateLimit::AuthFailures => (5, 15 * 60),
            RateLimit::Low => (60, 60),
            RateLimit::Normal => (600, 60),
            RateLimit::High => (6000, 60),
        };
        Self { requests, window: Duration::from_secs(seconds) }
    }

    /// In which one request is earned back, nanoseconds.
    fn interval(self) -> u64 {
        self.nanos() / u64::from(self.requests)
    }

    fn nanos(self) -> u64 {
        self.window.as_nanos() as u64
    }
}

/// Where a client stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit it was counted against.
    pub limit: RateLimit,
    /// Requests it could still make at once.
    pub remaining: u32,
    /// Until all of them are earned back.
    pub reset: Duration,
    /// Refused: when one will be earned back.
    pub refused: Option<Duration>,
}

/// Counts requests against limits.
#[derive(Clone)]
pub struct RateLimits {
    held: Option<Arc<Held>>,
}

struct Held {
    times: Times,
    metrics: Arc<Metrics>,
    began: Instant,
    ring: KeyRing,
    redis: Option<Redis>,
}

/// The instant at which a client will have earned all it asked for, nanoseconds since the start.
type Times = Cache<Client, Arc<AtomicU64>>;

/// A client under one limit. What names it may be long and is chosen by strangers, so only a keyed hash is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Client(RateLimit, u128);

impl RateLimits {
    /// No limits at all, for `levee dev`.
    pub fn off() -> Self {
        Self { held: None }
    }

    /// Held in this process alone.
    pub fn local(metrics: Arc<Metrics>) -> Self {
        let ring = KeyRing::parse(&KeyRing::generate("local")).expect("a ring just generated is valid");
        Self::shared(metrics, ring, None)
    }

    /// Shared through `redis`, where there is one. The ring makes the names of accounts unreadable there.
    pub fn shared(metrics: Arc<Metrics>, ring: KeyRing, redis: Option<Redis>) -> Self {
        let times = Cache::new(REMEMBERED);
        Self { held: Some(Arc::new(Held { times, metrics, began: Instant::now(), ring, redis })) }
    }

    /// A request by somebody who proved who it is; its class says how many it may make.
    pub async fn principal(&self, principal: &Principal) -> Option<Standing> {
        let limit = match principal.class {
            Class::Low => RateLimit::Low,
            Class::Normal => RateLimit::Normal,
            Class::High => RateLimit::High,
        };
        self.take(Client(limit, principal.id.as_u128())).await
    }

    /// A request by somebody who did not.
    pub async fn anonymous(&self, address: Option<IpAddr>) -> Option<Standing> {
        self.take(Client(RateLimit::Anonymous, network(address))).await
    }

    /// A request to where secrets are tried: signing in, refreshing, changing and resetting a password.
    pub async fn auth(&self, address: Option<IpAddr>) -> Option<Standing> {
        self.take(Client(RateLimit::Auth, network(address))).await
    }

    /// Whether this account may be tried from this address: ask before looking at a password, and tell
    /// [`failed`](Self::failed) when it was wrong. Only failures count, and only those of this address: a stranger who
    /// guesses locks out itself and not the owner, who comes from elsewhere.
    pub async fn check(&self, account: &str, address: Option<IpAddr>) -> Result<(), Failure> {
        let Some(held) = &self.held else { return Ok(()) };
        match held.look(held.pair(account, address)).await.refused {
            None => Ok(()),
            Some(after) => {
                held.metrics.rate_limited(RateLimit::AuthFailures);
                Err(Failure::rate_limited("Too many failures for this account from your address.", after))
            }
        }
    }

    /// The account was tried from this address, in vain.
    pub async fn failed(&self, account: &str, address: Option<IpAddr>) {
        if let Some(held) = &self.held {
            held.count(held.pair(account, address)).await;
        }
    }

    async fn take(&self, client: Client) -> Option<Standing> {
        let held = self.held.as_ref()?;
        let standing = held.count(client).await;
        if standing.refused.is_some() {
            held.metrics.rate_limited(client.0);
        }
        Some(standing)
    }
}

impl Held {
    /// Spelling makes no other account: e-mail addresses are unique regardless of case.
    fn pair(&self, account: &str, address: Option<IpAddr>) -> Client {
        let pair = format!("{:032x} {}", network(address), folded(account.trim()));
        Client(RateLimit::AuthFailures, self.ring.pseudonym("accounts under a rate limit", &pair))
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Counts a request, unless it is one too many: here in any case, so that the count is at hand when Redis is not.
    async fn count(&self, client: Client) -> Standing {
        let here = self.count_here(client);
        self.shared(client, Asks::ToBeCounted).await.unwrap_or(here)
    }

    /// Where it stands, with nothing counted.
    async fn look(&self, client: Client) -> Standing {
        match self.shared(client, Asks::WhereItStands).await {
            Some(standing) => standing,
            None => self.look_here(client),
        }
    }

    async fn shared(&self, client: Client, asks: Asks) -> Option<Standing> {
        shared::ask(self.redis.as_ref()?, client, asks).await
    }

    fn count_here(&self, client: Client) -> Standing {
        let (now, quota) = (self.now(), Quota::of(client.0));
        let time =
            self.times.get_or_insert_with(&client, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(time) = time;
        // A client that was driven out while others raced for its instant begins anew, at worst.
        let counted = time.fetch_update(Relaxed, Relaxed, |earned| {
            let after = earned.max(now) + quota.interval();
            (after - now <= quota.nanos()).then_some(after)
        });
        match counted {
            Ok(before) => standing(client.0, before.max(now) + quota.interval() - now, None),
            Err(earned) => {
                let ahead = earned - now;
                standing(client.0, ahead, Some(ahead + quota.interval() - quota.nanos()))
            }
        }
    }

    fn look_here(&self, client: Client) -> Standing {
        let quota = Quota::of(client.0);
        let ahead = self.times.get(&client).map_or(0, |time| time.load(Relaxed).saturating_sub(self.now()));
        let over = (ahead + quota.interval()).checked_sub(quota.nanos()).filter(|over| *over > 0);
        standing(client.0, ahead, over)
    }
}

/// `ahead` is how long a client has asked ahead of what it earned, nanoseconds.
fn standing(limit: RateLimit, ahead: u64, refused: Option<u64>) -> Standing {
    let quota = Quota::of(limit);
    let remaining = quota.nanos().saturating_sub(ahead) / quota.interval();
    Standing {
        limit,
        remaining: remaining as u32,
        reset: Duration::from_nanos(ahead),
        refused: refused.map(Duration::from_nanos),
    }
}

/// Whose address it is: IPv4 alone, IPv6 by the /64 that one customer has. Those without an address are one client.
fn network(address: Option<IpAddr>) -> u128 {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => u128::from(address.to_bits()),
        Some(IpAddr::V6(address)) => address.to_bits() >> 64 << 64,
        None => u128::MAX,
    }
}

#[cfg(test)]
mod tests;
