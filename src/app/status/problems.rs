//! What is wrong at this moment, said in a sentence each, the widest first. The names are those of the runbooks.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::observe::Observed;
use crate::gateway::breaker::{Mode, State};
use crate::gateway::snapshot::{Lane, Live};
use crate::redis::Redis;
use crate::services::publication::Publisher;

/// Something that somebody should know about.
struct Problem {
    /// The runbook under `docs/runbooks/`.
    runbook: &'static str,
    /// What it is about, where it is about one upstream.
    upstream: Option<(String, Option<String>)>,
    detail: String,
}

impl Problem {
    fn here(runbook: &'static str, detail: impl Into<String>) -> Self {
        Self { runbook, upstream: None, detail: detail.into() }
    }

    fn of(live: &Live, runbook: &'static str, detail: impl Into<String>) -> Self {
        let upstream = Some((live.upstream.name.clone(), live.upstream.owner.clone()));
        Self { runbook, upstream, detail: detail.into() }
    }

    fn shown(self) -> Value {
        let mut shown = json!({ "runbook": self.runbook });
        if let Some((upstream, owner)) = self.upstream {
            shown["upstream"] = upstream.into();
            shown["owner"] = owner.into();
        }
        shown["detail"] = self.detail.into();
        shown
    }
}

/// Everything that is wrong now; `upstreams` are those in force.
pub(super) fn problems(observed: &Observed, upstreams: &[&Arc<Live>]) -> Vec<Value> {
    let mut found = observed.publisher().map(of_the_database).unwrap_or_default();
    if let Some(away) = observed.redis.as_ref().and_then(Redis::away) {
        let since = away.since.elapsed().as_secs();
        let detail = format!("Redis has been away for {since} s: {}", away.reason);
        found.push(Problem::here("LeveeDependencyDown", detail));
    }
    let troubles = observed.kubernetes.iter().flat_map(|standing| standing.reading().troubles);
    for trouble in troubles {
        let detail = format!("the Kubernetes API cannot be watched: {trouble}");
        found.push(Problem::here("LeveeDependencyDown", detail));
    }
    let faults = observed.faults.lines().len();
    if faults > 0 {
        let detail = format!("the last edit of the upstream files is held back: {faults} faults");
        found.push(Problem::here("LeveeUpstreamFilesRefused", detail));
    }
    found.extend(observed.publisher().map(left_out).unwrap_or_default());
    for live in upstreams {
        of_an_upstream(live, &mut found);
    }
    found.into_iter().map(Problem::shown).collect()
}

fn of_the_database(publisher: &Publisher) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(away) = publisher.away() {
        let since = away.since.elapsed().as_secs();
        let detail = format!("the database has been away for {since} s: {}", away.reason);
        found.push(Problem::here("LeveeDependencyDown", detail));
    }
    let pools = publisher.pools();
    // SQLite's writer is one connection, which every write takes whole: that is no trouble.
    for pool in pools.iter().filter(|pool| pool.limit > 1 && pool.in_use >= pool.limit) {
        let detail = format!("all {} connections of the pool `{}` are in use", pool.limit, pool.pool);
        found.push(Problem::here("LeveeDatabasePoolSaturated", detail));
    }
    found
}

fn left_out(publisher: &Publisher) -> Vec<Problem> {
    let now = publisher.published();
    let detail = |name: &str| format!("upstream `{name}` of the API is left out: calls cannot find it");
    now.merged.left_out().map(|name| Problem::here("LeveeUpstreamLeftOut", detail(name))).collect()
}

fn of_an_upstream(live: &Live, found: &mut Vec<Problem>) {
    if let Some(Err(why)) = live.credentials.state() {
        found.push(Problem::of(live, "LeveeCredentialsMissing", format!("calls are refused: {why}")));
    }
    for lane in live.lanes_with_own_breaker() {
        found.extend(of_a_breaker(live, lane));
    }
    for lane in live.lanes_with_own_seats() {
        let seats = &lane.bulkhead;
        if seats.waiting() > 0 && seats.in_flight() >= seats.limit() {
            let (limit, waiting) = (seats.limit(), seats.waiting());
            let detail = format!("all {limit} seats{} are taken, {waiting} attempts wait", named(lane));
            found.push(Problem::of(live, "LeveeSeatsFull", detail));
        }
    }
}

fn of_a_breaker(live: &Live, lane: &Lane) -> Option<Problem> {
    let view = lane.breaker.view();
    let (operation, stood) = (named(lane), view.since.elapsed().as_secs());
    if let Some(note) = view.note.filter(|_| view.mode != Mode::Auto) {
        let expires = match view.mode_expires_in {
            Some(left) => format!("for {} s more", left.as_secs()),
            None => "until it is taken back".to_owned(),
        };
        let detail = format!("the breaker{operation} is {} by hand, {expires}: {note}", view.mode.as_str());
        return Some(Problem::of(live, "LeveeBreakerForced", detail));
    }
    (view.state != State::Closed && !view.would_be_open).then(|| {
        let (state, reason) = (view.state.as_str(), view.reason.as_str());
        let detail = format!("the breaker{operation} has been {state} for {stood} s ({reason})");
        Problem::of(live, "LeveeBreakerOpen", detail)
    })
}

/// ` of operation …`, where it is one's own.
fn named(lane: &Lane) -> String {
    lane.operation.as_ref().map(|name| format!(" of operation `{name}`")).unwrap_or_default()
}
