//! The race checker: three replicas over one log and one second level, in every order that chance makes of fetches,
//! purges, changes, pauses, lost logs and late writes. No answer may be served as fresh that was read from the upstream
//! before a purge that its request came after.
//!
//! The replicas are the real caches with the real log, codec and outbox; what stands for Redis is a model whose every
//! answer can be late or lost. Two defects can be sown, and have to be found.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::super::fixtures::{MIB, at, get, headers, key_of, respect};
use super::super::log::{Heading, News};
use super::super::position::LogId;
use super::super::value::{self, Value};
use super::super::{
    Hit, HttpCache, Key, Lookup, Purge, RequestView, ResponseHead, Scope, StoreRules, Strength,
};
use crate::redis::{Address, Redis};

const REPLICAS: usize = 3;
const PATHS: [&str; 2] = ["/quotes/1", "/quotes/2"];
const STEPS: usize = 120;
const SEEDS: u64 = 3000;

/// What can be wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    /// The position is taken when a fetch ends.
    PositionAtEnd,
    /// Those who waited get the answer whatever was purged since they joined.
    NoJoinerCheck,
}

struct Fetch {
    path: usize,
    key: Key,
    /// When the upstream made its answer.
    read: Option<u64>,
    /// Who waits: its key, and the last purge it came after.
    joined: Vec<(Key, u64)>,
}

struct Replica {
    cache: Arc<HttpCache>,
    connected: bool,
    fetches: Vec<Fetch>,
    /// The last purge of each path that it knows of.
    known: [u64; 2],
}

/// What stands for Redis.
struct Shared {
    epoch: u64,
    next_id: u64,
    entries: Vec<(Heading, u64)>,
    trimmed: bool,
    /// The last entry that was trimmed.
    trimmed_to: LogId,
    values: HashMap<u128, Bytes>,
}

struct World {
    random: fastrand::Rng,
    seed: u64,
    defect: Defect,
    /// Counts events: which came before which.
    clock: u64,
    shared: Shared,
    replicas: Vec<Replica>,
    /// Every purge made: by whom and when.
    purges: Vec<(usize, Purge, u64)>,
    /// The last purge of each path that the log has shown and dropped for good: whoever reads on knows that it may have
    /// missed that one.
    dropped: [u64; 2],
}

fn paths_of(purge: &Purge) -> Vec<usize> {
    match &purge.scope {
        Scope::Path(text) => (0..2).filter(|path| text.ends_with(PATHS[*path])).collect(),
        _ => vec![0, 1],
    }
}

fn request(headers: &HeaderMap, path: usize) -> RequestView<'_> {
    RequestView { path: PATHS[path], ..get(headers) }
}

fn number(hit: &Hit) -> u64 {
    u64::from_le_bytes(hit.body()[..8].try_into().unwrap())
}

impl World {
    fn new(seed: u64, defect: Defect, redis: &Redis) -> Self {
        let replica = || Replica {
            cache: Arc::new(HttpCache::shared(4 * MIB, &[9; 32], Some(redis.clone()))),
            connected: true,
            fetches: Vec::new(),
            known: [0; 2],
        };
        let shared = Shared {
            epoch: 1,
            next_id: 1,
            entries: Vec::new(),
            trimmed: false,
            trimmed_to: LogId::default(),
            values: HashMap::new(),
        };
        let replicas = (0..REPLICAS).map(|_| replica()).collect();
        let random = fastrand::Rng::with_seed(seed);
        Self { random, seed, defect, clock: 0, shared, replicas, purges: Vec::new(), dropped: [0; 2] }
    }

    fn run(&mut self) -> Result<(), String> {
        for step in 0..STEPS {
            self.clock += 1;
            let who = self.random.usize(..REPLICAS);
            let event = self.random.u32(..100);
            let seen = match event {
                0..30 => self.ask(who),
                30..44 => self.fetch_ends(who),
                44..46 => self.wait_ends(who),
                _ => {
                    self.happen(event, who);
                    Ok(())
                }
            };
            if let Err((read, purged)) = seen {
                return Err(format!("seed {}, step {step}: read at {read}, purged at {purged}", self.seed));
            }
        }
        Ok(())
    }

    /// What no caller sees.
    fn happen(&mut self, event: u32, who: usize) {
        match event {
            46..58 => self.upstream_answers(who),
            58..68 => self.purge(who),
            68..78 => self.tell(who),
            78..90 => self.hear(who),
            90..94 => self.write(who),
            94..97 => self.part_or_join(who),
            97 => self.empty(),
            98 => self.trim(),
            _ => self.fail_over(),
        }
    }

    /// A request: from memory, from the second level, by joining a fetch, or by beginning one.
    fn ask(&mut self, who: usize) -> Result<(), (u64, u64)> {
        let (path, none) = (self.random.usize(..2), HeaderMap::new());
        let known = self.replicas[who].known[path];
        let cache = Arc::clone(&self.replicas[who].cache);
        let look = || cache.lookup(&request(&none, path), &respect(), Instant::now());
        if !matches!(look(), Lookup::Fresh(_)) && self.random.bool() {
            self.brings(who, path, key_of(look()));
        }
        let key = match look() {
            Lookup::Fresh(hit) => return fresh_enough(number(&hit), known),
            lookup => key_of(lookup),
        };
        let fetches = &mut self.replicas[who].fetches;
        match fetches.iter_mut().find(|fetch| fetch.key == key) {
            Some(fetch) => fetch.joined.push((key, known)),
            None => fetches.push(Fetch { path, key, read: None, joined: Vec::new() }),
        }
        Ok(())
    }

    /// Whoever waited for another replica's fetch looks for what it brought, by the key of its own look long ago, and asks
    /// the upstream, later than that too, if there is nothing.
    fn wait_ends(&mut self, who: usize) -> Result<(), (u64, u64)> {
        let waiting = self.replicas[who].fetches.iter().position(|fetch| fetch.read.is_none());
        let Some(place) = waiting else { return Ok(()) };
        let fetch = &self.replicas[who].fetches[place];
        if !self.brings(who, fetch.path, fetch.key.clone()) {
            return Ok(());
        }
        let replica = &mut self.replicas[who];
        let Fetch { path, joined, .. } = replica.fetches.remove(place);
        let none = HeaderMap::new();
        for (_, known) in joined {
            let again = replica.cache.lookup(&request(&none, path), &respect(), Instant::now());
            if let Lookup::Fresh(hit) = again {
                fresh_enough(number(&hit), known)?;
            }
        }
        Ok(())
    }

    fn brings(&self, who: usize, path: usize, key: Key) -> bool {
        let replica = &self.replicas[who];
        let fleet = replica.cache.fleet.as_ref().unwrap();
        if !replica.connected || !fleet.log.is_in_step() {
            return false;
        }
        let Some(bytes) = self.shared.values.get(&key.hash) else { return false };
        let proof = replica.cache.keyer.proof(&key.text);
        let Ok(Value::Answer(answer)) = value::read(bytes, &proof, MIB, SystemTime::now()) else {
            panic!("the model loses values, it does not change them")
        };
        let none = HeaderMap::new();
        replica.cache.take_in(*answer, key, request(&none, path).upstream()).is_ok_and(|(_, brought)| brought)
    }

    fn upstream_answers(&mut self, who: usize) {
        let clock = self.clock;
        let waiting = self.replicas[who].fetches.iter_mut().find(|fetch| fetch.read.is_none());
        if let Some(fetch) = waiting {
            fetch.read = Some(clock);
        }
    }

    fn fetch_ends(&mut self, who: usize) -> Result<(), (u64, u64)> {
        let replica = &mut self.replicas[who];
        let Some(place) = replica.fetches.iter().position(|fetch| fetch.read.is_some()) else {
            return Ok(());
        };
        let Fetch { path, mut key, read, joined } = replica.fetches.remove(place);
        let read = read.unwrap();
        if self.defect == Defect::PositionAtEnd {
            key.began = replica.cache.purges.moment();
        }
        let (none, cached) = (HeaderMap::new(), headers(&["cache-control: max-age=60", "cache-tag: t"]));
        let head = ResponseHead { status: StatusCode::OK, headers: &cached, times: at(Instant::now()) };
        let policy = respect();
        let rules = StoreRules { cache: &policy, stale_fallback: std::time::Duration::ZERO };
        let plan = replica.cache.admit(&request(&none, path), &key, &head, &rules).unwrap();
        let entry = replica.cache.insert(plan, &[Bytes::copy_from_slice(&read.to_le_bytes())]);
        for (key, known) in joined {
            let shared = replica.cache.share(&entry, &request(&none, path), &key, Instant::now());
            if shared.is_some() || self.defect == Defect::NoJoinerCheck {
                fresh_enough(read, known)?;
            }
        }
        Ok(())
    }

    fn purge(&mut self, who: usize) {
        let none = HeaderMap::new();
        let upstream = "rates".to_owned();
        let scope = match self.random.u32(..5) {
            0 | 1 => {
                let asked = request(&none, self.random.usize(..2));
                Scope::Path(super::super::key::path_text("https", asked.host, asked.port, asked.path))
            }
            2 => Scope::Tag { upstream, tag: "t".to_owned() },
            3 => Scope::Glob { upstream, pattern: "/quotes/*".to_owned() },
            _ => Scope::Upstream(upstream),
        };
        let strength = if self.random.bool() { Strength::Hard } else { Strength::Soft };
        let purge = Purge { scope, strength };
        for path in paths_of(&purge) {
            self.replicas[who].known[path] = self.clock;
        }
        self.purges.push((who, purge.clone(), self.clock));
        self.replicas[who].cache.purge(purge);
    }

    /// The outbox goes to the log, and the answer may be lost on its way back.
    fn tell(&mut self, who: usize) {
        let replica = &self.replicas[who];
        let fleet = replica.cache.fleet.as_ref().unwrap();
        let said = fleet.log.take();
        if said.is_empty() {
            return;
        }
        if !replica.connected {
            fleet.log.put_back();
            return;
        }
        let mut last = LogId::default();
        for purge in said {
            last = LogId::parse(&format!("{}-0", self.shared.next_id)).unwrap();
            self.shared.next_id += 1;
            // What is said again was made at the latest when it was made last.
            let same = |(by, made, _): &&(usize, Purge, u64)| *by == who && *made == purge;
            let made = self.purges.iter().rev().find(same).map_or(0, |(_, _, at)| *at);
            self.shared.entries.push((Heading { id: last, purge, source: fleet.log.source }, made));
        }
        if self.random.u32(..5) == 0 {
            fleet.log.put_back();
        } else {
            fleet.log.settle(&replica.cache.purges, last, Instant::now());
        }
    }

    /// Reads on, a few entries or all. Whoever has heard all knows of every purge that the log ever showed.
    fn hear(&mut self, who: usize) {
        let replica = &mut self.replicas[who];
        let fleet = replica.cache.fleet.as_ref().unwrap();
        if !replica.connected {
            fleet.log.lose_contact();
            return;
        }
        let reached = replica.cache.purges.position();
        let after: Vec<&(Heading, u64)> =
            self.shared.entries.iter().filter(|(heading, _)| heading.id > reached.id).collect();
        let news = News {
            epoch: self.shared.epoch,
            first: self.shared.entries.first().map_or(self.shared.trimmed_to, |(heading, _)| heading.id),
            last: self.shared.entries.last().map_or(self.shared.trimmed_to, |(heading, _)| heading.id),
            trimmed: self.shared.trimmed,
            entries: after.iter().map(|(heading, _)| heading.clone()).collect(),
        };
        for (known, dropped) in replica.known.iter_mut().zip(self.dropped) {
            *known = dropped.max(*known);
        }
        for (heading, made) in &self.shared.entries {
            for path in paths_of(&heading.purge) {
                replica.known[path] = replica.known[path].max(*made);
            }
        }
        assert!(!replica.cache.hear(fleet, &news, Instant::now()), "there are fewer than are read at once");
    }

    fn write(&mut self, who: usize) {
        let replica = &self.replicas[who];
        let written = replica.cache.next_write();
        if let Some((hash, bytes)) = written.filter(|_| replica.connected) {
            self.shared.values.insert(hash, bytes);
        }
    }

    fn part_or_join(&mut self, who: usize) {
        let replica = &mut self.replicas[who];
        replica.connected = !replica.connected;
        replica.cache.fleet.as_ref().unwrap().log.lose_contact();
    }

    /// `FLUSHALL`, or a restart that kept nothing: another log begins.
    fn empty(&mut self) {
        self.shared.epoch += 1;
        let count = self.shared.entries.len();
        self.drop_entries(count);
        (self.shared.trimmed, self.shared.trimmed_to) = (false, LogId::default());
        self.shared.values.clear();
    }

    fn trim(&mut self) {
        let count = self.random.usize(..=self.shared.entries.len());
        self.drop_entries(count.min(self.shared.entries.len().saturating_sub(1)));
        self.shared.trimmed = true;
    }

    fn drop_entries(&mut self, count: usize) {
        for (heading, made) in self.shared.entries.drain(..count) {
            self.shared.trimmed_to = heading.id;
            for path in paths_of(&heading.purge) {
                self.dropped[path] = self.dropped[path].max(made);
            }
        }
    }

    /// Another node takes over that had not heard the last entries; everybody notices.
    fn fail_over(&mut self) {
        let kept = self.shared.entries.len().saturating_sub(self.random.usize(..3));
        self.shared.entries.truncate(kept);
        for replica in &self.replicas {
            replica.cache.fleet.as_ref().unwrap().log.lose_contact();
        }
    }
}

fn fresh_enough(read: u64, purged: u64) -> Result<(), (u64, u64)> {
    if read > purged { Ok(()) } else { Err((read, purged)) }
}

async fn check(defect: Defect, seeds: u64) -> Option<String> {
    let redis = Redis::connect(&Address::parse("redis://127.0.0.1:1").unwrap(), "races");
    let found = (0..seeds).find_map(|seed| World::new(seed, defect, &redis).run().err());
    redis.close().await;
    found
}

#[tokio::test]
async fn no_answer_is_served_fresh_that_is_older_than_a_purge_before_its_request() {
    assert!(check(Defect::None, SEEDS).await.is_none_or(|violation| panic!("{violation}")));
}

#[tokio::test]
async fn a_position_taken_at_the_end_of_a_fetch_is_found_out() {
    assert!(check(Defect::PositionAtEnd, SEEDS).await.is_some());
}

#[tokio::test]
async fn a_joiner_who_is_not_checked_is_found_out() {
    assert!(check(Defect::NoJoinerCheck, SEEDS).await.is_some());
}
