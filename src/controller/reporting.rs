//! The leader's answers: the status of each Upstream where it is another one than is written there, and Events.
//!
//! One object is written at most once in ten seconds, whatever its breakers do meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::Breakers;
use super::backoff::Backoff;
use super::cluster::{CALL, Cluster, Trouble, within};
use super::definition::{API_VERSION, KIND};
use super::events::{Events, Happening};
use super::seen::Seen;
use super::standing::Standing;
use super::status::{self, ACCEPTED, HEALTHY, Status};
use crate::models::custom_resource::ResourceId;
use crate::services::breakers::BreakerReport;
use crate::services::publication::{Published, Publisher, ResourceReport};

/// How often what stands written is held against what is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two writes of one object.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// Writes under way at once.
const AT_ONCE: usize = 8;

/// Events written in one round.
const EVENTS_AT_ONCE: usize = 32;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Whose fields they are.
const FIELD_MANAGER: &str = "levee";

/// Writes while this replica leads.
pub(super) struct Reporter {
    cluster: Cluster,
    seen: Arc<Seen>,
    publisher: Arc<Publisher>,
    breakers: Breakers,
    standing: Arc<Standing>,
    ledger: Ledger,
    /// What cannot be written, said once.
    said: Option<Trouble>,
}

/// What this leader has done so far.
#[derive(Default)]
struct Ledger {
    writes: HashMap<ResourceId, Writes>,
    /// What was told of each object: the status it was read from.
    told: HashMap<ResourceId, Told>,
    events: Events,
}

struct Writes {
    next: Instant,
    backoff: Backoff,
}

/// The part of a status that Events tell of.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    uid: String,
    accepted: String,
    generation: i64,
    message: String,
    healthy: String,
}

/// A status to be written.
struct Write {
    id: ResourceId,
    status: Value,
}

impl Reporter {
    pub(super) fn new(
        cluster: Cluster,
        seen: Arc<Seen>,
        publisher: Arc<Publisher>,
        breakers: Breakers,
        standing: Arc<Standing>,
    ) -> Self {
        Self { cluster, seen, publisher, breakers, standing, ledger: Ledger::default(), said: None }
    }

    /// Runs for ever.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.standing.is_leading() {
                let due = self.ledger.look(
                    &self.seen,
                    &self.publisher.published(),
                    &(self.breakers)(),
                    Instant::now(),
                );
                self.write(due).await;
            } else {
                // Another one leads, and writes: what it wrote is what the next look begins with.
                self.ledger = Ledger::default();
            }
        }
    }

    async fn write(&mut self, due: Vec<Write>) {
        let cluster = self.cluster.clone();
        let writes = stream::iter(due).map(async |write| (write_status(&cluster, &write).await, write.id));
        let written: Vec<_> = writes.buffer_unordered(AT_ONCE).collect().await;
        for (result, id) in written {
            self.ledger.settled(&id, result.is_ok(), Instant::now());
            self.note(result.err());
        }
        let mut due = self.ledger.events.due(Instant::now());
        due.truncate(EVENTS_AT_ONCE);
        for event in due {
            let written = event.write(&cluster).await;
            self.ledger.events.settled(&event, written.as_ref().cloned(), Instant::now());
            self.note(written.err());
        }
    }

    fn note(&mut self, trouble: Option<Trouble>) {
        let Some(trouble) = trouble else { return };
        if self.said.as_ref() != Some(&trouble) {
            tracing::warn!(%trouble, "a status or an Event of an Upstream cannot be written");
        }
        self.said = Some(trouble);
    }
}

async fn write_status(cluster: &Cluster, write: &Write) -> Result<(), Trouble> {
    let (name, upstreams) = (&write.id.object, cluster.upstreams(Some(&write.id.namespace)));
    let applied = json!({
        "apiVersion": API_VERSION, "kind": KIND, "metadata": { "name": name }, "status": write.status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let written = within(CALL, upstreams.patch_status(name, &parameters, &Patch::Apply(applied))).await;
    written.map(|_| ()).map_err(|trouble| trouble.about(&format!("status of {}", write.id)))
}

impl Ledger {
    /// What is to be written now.
    fn look(
        &mut self,
        seen: &Seen,
        published: &Published,
        breakers: &[BreakerReport],
        now: Instant,
    ) -> Vec<Write> {
        let mut by_upstream: HashMap<&str, Vec<BreakerReport>> = HashMap::new();
        for breaker in breakers {
            by_upstream.entry(&breaker.upstream).or_default().push(breaker.clone());
        }
        let resources = &published.merged.resources;
        self.writes.retain(|id, _| resources.contains_key(id));
        self.told.retain(|id, _| resources.contains_key(id));
        self.events.retain(|id| resources.contains_key(id));
        let mut due = Vec::new();
        for (id, report) in resources {
            let Some((uid, written)) = seen.object(id, |it| (it.uid.clone(), it.status.clone())) else {
                continue;
            };
            let breakers = by_upstream.get(report.name.as_str()).map_or(&[][..], Vec::as_slice);
            let status = Status::of(report, is_attached(published, report), breakers);
            self.tell(id, &uid, &written, &status, report.generation, now);
            if self.writes.get(id).is_none_or(|writes| writes.next <= now) && !status.is_said_by(&written) {
                let status =
                    status.to_json(&written, &Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
                due.push(Write { id: id.clone(), status });
            }
        }
        due
    }

    fn settled(&mut self, id: &ResourceId, well: bool, now: Instant) {
        let first = || Writes { next: now, backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE) };
        let writes = self.writes.entry(id.clone()).or_insert_with(first);
        if well {
            writes.backoff.reset();
            writes.next = now + WRITE_EVERY;
        } else {
            writes.next = now + writes.backoff.next();
        }
    }

    /// Notes what happened since the last look, or before the first one, since the status was written.
    fn tell(
        &mut self,
        id: &ResourceId,
        uid: &str,
        written: &Value,
        status: &Status,
        generation: i64,
        now: Instant,
    ) {
        let next = Told::of(uid, status, generation);
        let known = self.told.insert(id.clone(), next.clone()).filter(|known| known.uid == uid);
        let before = known.unwrap_or_else(|| Told::written(uid, written));
        let (accepted, healthy) = (status.condition(ACCEPTED), status.condition(HEALTHY));
        let mut note = |happening, message: &str| self.events.note(id, uid, happening, message, now);
        let another = before.accepted != next.accepted || before.generation != generation;
        match next.accepted.as_str() {
            "True" if another => note(Happening::Accepted, &accepted.message),
            "False" if another || before.message != next.message => {
                note(Happening::Refused, &accepted.message);
            }
            _ => {}
        }
        match (before.healthy.as_str(), next.healthy.as_str()) {
            ("False", "True") => note(Happening::Recovered, &healthy.message),
            (before, "False") if before != "False" => note(Happening::Tripped, &healthy.message),
            _ => {}
        }
    }
}

impl Told {
    fn of(uid: &str, status: &Status, generation: i64) -> Self {
        let (accepted, healthy) = (status.condition(ACCEPTED), status.condition(HEALTHY));
        Self {
            uid: uid.to_owned(),
            accepted: accepted.status.to_owned(),
            generation,
            message: accepted.message.clone(),
            healthy: healthy.status.to_owned(),
        }
    }

    /// What an earlier leader told, as far as the status says it.
    fn written(uid: &str, status: &Value) -> Self {
        let text = |kind: &str, field: &str| {
            let condition = status::find(status, kind);
            condition.and_then(|condition| condition[field].as_str()).unwrap_or_default().to_owned()
        };
        Self {
            uid: uid.to_owned(),
            accepted: text(ACCEPTED, "status"),
            generation: status["observedGeneration"].as_i64().unwrap_or_default(),
            message: text(ACCEPTED, "message"),
            healthy: text(HEALTHY, "status"),
        }
    }
}

/// A credential is at hand that may go where the document says.
fn is_attached(published: &Published, report: &ResourceReport) -> bool {
    let entry = published.merged.entries.get(&report.name);
    let upstream = entry.and_then(|entry| entry.upstream.as_ref());
    let binding = upstream.and_then(|upstream| Some(upstream.credentials.as_ref()?.binding(&upstream.url)));
    let credential = published.merged.credential(&report.name, &published.stored);
    credential.is_some_and(|credential| Some(&credential.binding) == binding.as_ref())
}

#[cfg(test)]
mod tests;
