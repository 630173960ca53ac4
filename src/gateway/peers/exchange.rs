//! The task between Redis and the breakers: four times a second it says how ours stand, hears how the others' do, adopts
//! what is to be adopted, and sees to the leases for probes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::notes::Notes;
use super::probing::Probing;
use super::{LEASE, Peer, PeerBreaker, Peers, adoption, name, named};
use crate::gateway::Gateway;
use crate::gateway::snapshot::{Lane, Live};
use crate::redis::{Redis, RedisError, Script};

/// How often.
const TURN: Duration = Duration::from_millis(250);
/// Longest wait for the exchange with Redis.
const LIMIT: Duration = Duration::from_millis(250);
/// Most other replicas that are listened to.
const MOST_PEERS: i64 = 64;

/// Writes ours, forgets those whose lease is over, and answers with the others' and their age, by Redis's own clock.
static EXCHANGE: Script = Script::new(
    r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], 60000)
local all, heard = redis.call('HGETALL', KEYS[1]), {}
for at = 1, #all, 2 do
  local said = tonumber(string.match(all[at + 1], '^%d+'))
  local age = said and now - said
  -- From the future: the clock was set back, and who lives says it again.
  if not age or age < 0 or age > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], all[at])
  elseif all[at] ~= ARGV[1] and #heard < tonumber(ARGV[4]) * 3 then
    heard[#heard + 1] = all[at]
    heard[#heard + 1] = string.format('%.0f', age)
    heard[#heard + 1] = string.match(all[at + 1], ' (.*)$') or ''
  end
end
return heard
",
);

static FORGET: Script = Script::new("return redis.call('HDEL', KEYS[1], ARGV[1])");

struct Exchange {
    peers: Arc<Peers>,
    gateway: Arc<Gateway>,
    redis: Redis,
    probing: Probing,
}

impl Peers {
    /// Goes on until `stop`, and then takes its leave. Without Redis there is nobody to be in touch with.
    pub async fn keep_in_touch(
        self: Arc<Self>,
        gateway: Arc<Gateway>,
        redis: Option<Redis>,
        stop: CancellationToken,
    ) {
        let Some(redis) = redis else { return };
        let probing = Probing::new(&self.replica, Arc::clone(&self.metrics));
        let mut exchange = Exchange { peers: self, gateway, redis, probing };
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { () = stop.cancelled() => break, _ = turns.tick() => exchange.turn().await }
        }
        exchange.leave().await;
    }
}

impl Exchange {
    async fn turn(&mut self) {
        let lanes = lanes(&self.gateway);
        // What cannot be exchanged leaves every replica to itself: what was heard before runs out.
        if let Ok(peers) = self.exchange(&notes(&lanes)).await {
            self.peers.hear(peers);
        }
        for (live, lane) in &lanes {
            self.peers.weigh(live, lane);
        }
        self.peers.forget_all_but(&lanes);
        for (live, lane) in &lanes {
            let (upstream, operation) = named(live, lane);
            if !lane.breaker.is_plainly_closed() || self.probing.holds(upstream, operation) {
                self.probing.attend(name(upstream, operation), &lane.breaker, &self.redis).await;
            }
        }
    }

    async fn exchange(&self, notes: &Notes) -> Result<Vec<Peer>, RedisError> {
        let arguments = vec![
            self.peers.replica.clone().into(),
            notes.text().into(),
            (LEASE.as_millis() as i64).into(),
            MOST_PEERS.into(),
        ];
        let asked = Instant::now();
        let heard: Vec<String> = self.redis.script(LIMIT, &EXCHANGE, vec![self.key()], arguments).await?;
        Ok(heard.chunks_exact(3).filter_map(|peer| read(peer, asked)).collect())
    }

    async fn leave(&mut self) {
        self.probing.end(&self.redis).await;
        let replica = self.peers.replica.clone();
        // Otherwise the lease says it, a little later.
        let _ = self.redis.script::<i64>(LIMIT, &FORGET, vec![self.key()], vec![replica.into()]).await;
    }

    fn key(&self) -> String {
        self.redis.key("breakers", "")
    }
}

impl Peers {
    /// Opens ours where the policy wants it and the others' evidence is good, and takes that back when it is no longer.
    fn weigh(&self, live: &Live, lane: &Lane) {
        let (upstream, operation) = named(live, lane);
        let adopts = lane.policy.breaker.adopt;
        if lane.breaker.is_plainly_closed() {
            if adopts && self.open_elsewhere(upstream, operation) > 0 {
                self.adopt(live, lane, &self.others(upstream, operation));
            }
        } else if !(adopts && adoption::still_holds(&self.others(upstream, operation)))
            && lane.breaker.disown()
        {
            tracing::warn!(upstream, operation, "what other replicas said of the breaker is over");
        }
    }

    fn adopt(&self, live: &Live, lane: &Lane, peers: &[PeerBreaker]) {
        let view = lane.breaker.view();
        let Some(verdict) = adoption::judge(&view, view.since.elapsed(), peers) else { return };
        if lane.breaker.adopt(verdict.open_for) {
            let (upstream, operation) = named(live, lane);
            let open_for_ms = verdict.open_for.as_millis() as u64;
            tracing::warn!(upstream, operation, open_for_ms, from = ?verdict.from, "other replicas' evidence opened the breaker");
            self.adopted.write().insert(name(upstream, operation), verdict.from);
        }
    }

    /// Keeps what is still open only because of it.
    fn forget_all_but(&self, lanes: &[(Arc<Live>, Arc<Lane>)]) {
        if self.adopted.read().is_empty() {
            return;
        }
        let adopted = lanes.iter().filter(|(_, lane)| lane.breaker.view().is_adopted());
        let open: HashSet<_> = adopted.map(|(live, lane)| named(live, lane)).collect();
        self.adopted
            .write()
            .retain(|(upstream, operation), _| open.contains(&(upstream, operation.as_deref())));
    }
}

/// Every breaker there is, with whose it is.
fn lanes(gateway: &Gateway) -> Vec<(Arc<Live>, Arc<Lane>)> {
    let snapshot = gateway.snapshot();
    let of = |live: &Arc<Live>| {
        let lanes = live.lanes_with_own_breaker().map(|lane| (Arc::clone(live), Arc::clone(lane)));
        lanes.collect::<Vec<_>>()
    };
    snapshot.all().flat_map(of).collect()
}

fn notes(lanes: &[(Arc<Live>, Arc<Lane>)]) -> Notes {
    let told = lanes.iter().filter(|(_, lane)| !lane.breaker.is_plainly_closed());
    Notes::of_ours(told.map(|(live, lane)| (named(live, lane), lane.breaker.view())))
}

/// Name, age in milliseconds, notes. `asked` is before Redis looked at its clock, so nothing seems younger than it is.
fn read(peer: &[String], asked: Instant) -> Option<Peer> {
    let age = Duration::from_millis(peer[1].parse().ok()?);
    Some(Peer { replica: peer[0].clone(), said: asked.checked_sub(age)?, notes: Notes::read(&peer[2]) })
}
