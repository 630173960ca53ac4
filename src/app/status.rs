//! `/status`: what is wrong now, and the state of every part, for a person in a hurry.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::kubernetes;
use super::observe::Observed;
use crate::cache::FleetReading;
use crate::gateway::peers::Peers;
use crate::gateway::snapshot::Live;
use crate::redis::Redis;
use crate::services::issuers::IssuerKeys;
use crate::services::publication::{Publisher, Source};

/// What is wrong now.
mod problems;

/// The whole document but for what the ops port puts before it.
pub(super) fn status(observed: &Observed) -> Value {
    let (snapshot, publisher) = (observed.gateway.snapshot(), observed.publisher());
    let mut upstreams: Vec<&Arc<Live>> = snapshot.all().collect();
    upstreams.sort_by(|a, b| a.upstream.name.cmp(&b.upstream.name));
    let problems = problems::problems(observed, &upstreams);
    let upstreams: Vec<Value> =
        upstreams.into_iter().map(|live| upstream_status(live, &observed.peers)).collect();
    json!({
        "problems": problems,
        "version": crate::VERSION,
        "gitRevision": crate::REVISION,
        "previousStop": observed.previous_stop.text(),
        "snapshot": {
            "revision": snapshot.revision,
            "ageSeconds": snapshot.applied.map(|applied| applied.elapsed().as_secs()),
            "onDisk": publisher.and_then(Publisher::kept),
            "wholeOnDisk": publisher.is_some_and(Publisher::kept_all),
            "fromDisk": publisher.is_some_and(|publisher| publisher.published().from_disk),
        },
        "database": database_status(publisher),
        "credentialsByKey": publisher.map(credentials_by_key).unwrap_or_default(),
        "replica": observed.replicas.id(),
        "replicas": observed.replicas.names(),
        "redis": observed.redis.as_ref().map(redis_status),
        "issuers": observed.issuers.iter().map(|keys| issuer_status(keys)).collect::<Vec<_>>(),
        "fleetCache": observed.gateway.cache().fleet_reading().as_ref().map(fleet_status),
        "kubernetes": observed.kubernetes.as_ref().map(|standing| kubernetes::status(standing, publisher)),
        "upstreamFileFaults": observed.faults.lines(),
        "storedUpstreamFaults": publisher.map(stored_faults).unwrap_or_default(),
        "upstreams": upstreams,
    })
}

fn database_status(publisher: Option<&Publisher>) -> Value {
    match publisher.map(Publisher::away) {
        None => json!({ "up": false, "reason": "not asked yet, or it does not answer" }),
        Some(None) => json!({ "up": true }),
        Some(Some(away)) => {
            json!({ "up": false, "reason": away.reason, "forSeconds": away.since.elapsed().as_secs() })
        }
    }
}

/// How many stored credentials each key of the ring holds: one that holds none can be retired.
fn credentials_by_key(publisher: &Publisher) -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    for credential in &publisher.published().stored.credentials {
        *held.entry(credential.kid.clone()).or_default() += 1;
    }
    held
}

fn issuer_status(keys: &IssuerKeys) -> Value {
    let report = keys.report();
    let age = report.fetched.map(|fetched| fetched.elapsed().unwrap_or_default().as_secs());
    json!({
        "name": report.name,
        "issuer": report.issuer,
        "keys": report.keys,
        "keysAgeSeconds": age,
        "failing": report.failing,
    })
}

/// `null` in `/status` where no Redis was named.
fn redis_status(redis: &Redis) -> Value {
    match redis.away() {
        None => json!({ "up": true }),
        Some(away) => {
            json!({ "up": false, "reason": away.reason, "forSeconds": away.since.elapsed().as_secs() })
        }
    }
}

/// `null` where replicas share no cache.
fn fleet_status(fleet: &FleetReading) -> Value {
    json!({
        "inStep": fleet.log.in_step,
        "blind": fleet.log.blind,
        "silentSeconds": fleet.log.silent_seconds,
        "outbox": fleet.log.outbox,
    })
}

/// What is wrong with upstreams of the API; those that calls cannot find are said to be left out.
fn stored_faults(publisher: &Publisher) -> Vec<Value> {
    let now = publisher.published();
    let of_api = now.merged.entries.iter().filter(|(_, entry)| entry.source == Source::Api);
    let faulty = of_api.filter(|(_, entry)| !entry.faults.is_empty());
    faulty
        .map(|(name, entry)| {
            let lines = entry.faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail));
            json!({
                "upstream": name,
                "leftOut": !entry.in_force,
                "revision": entry.registration.as_ref().map(|registration| registration.revision),
                "faults": lines.collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn upstream_status(live: &Live, peers: &Peers) -> Value {
    let connections = live.transport.connections();
    let breakers: Vec<Value> = live
        .lanes_with_own_breaker()
        .map(|lane| {
            let view = lane.breaker.view();
            // On whose evidence it is open, where only others' opened it.
            let adopted_from =
                view.is_adopted().then(|| peers.adopted_from(&live.upstream.name, lane.operation.as_deref()));
            json!({
                "operation": lane.operation,
                "state": view.state.as_str(),
                "mode": view.mode.as_str(),
                "adoptedFrom": adopted_from,
            })
        })
        .collect();
    let seats: Vec<Value> = live
        .lanes_with_own_seats()
        .map(|lane| {
            let seats = &lane.bulkhead;
            json!({
                "operation": lane.operation,
                "taken": seats.in_flight(),
                "limit": seats.limit(),
                "waiting": seats.waiting(),
            })
        })
        .collect();
    let quotas: Vec<Value> = live
        .lanes_with_own_quota()
        .map(|(lane, quota)| {
            json!({
                "operation": lane.operation,
                "tokens": quota.standing().as_str(),
                "remaining": quota.remaining(),
                "waiting": quota.waiting(),
                "pausedForSeconds": quota.paused_for().as_secs_f64().ceil() as u64,
            })
        })
        .collect();
    json!({
        "name": live.upstream.name,
        "owner": live.upstream.owner,
        "source": live.upstream.origin,
        "breakers": breakers,
        "seats": seats,
        "quotas": quotas,
        "credentials": live.credentials.state().map(|state| state.err().unwrap_or("attached")),
        "connections": { "open": connections.open, "idle": connections.idle, "dialled": connections.dialled },
    })
}
