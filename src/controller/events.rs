//! Events on Upstreams, as `kubectl describe` shows them. The same thing happening again raises the count of the one that
//! is there, and that at most once a minute, so that a breaker that flaps floods nobody.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::cluster::{CALL, Cluster, Trouble, TroubleKind, within};
use super::definition::{API_VERSION, KIND};
use crate::models::custom_resource::ResourceId;

/// Between two writes of one thing.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// After so long a new one is made: clusters forget Events after an hour.
const ANEW_AFTER: Duration = Duration::from_secs(50 * 60);

/// What can happen to an Upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Happening {
    /// A version took effect.
    Accepted,
    /// A version is wrong.
    Refused,
    /// A breaker opened.
    Tripped,
    /// All are closed again.
    Recovered,
}

impl Happening {
    fn reason(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Refused => "Refused",
            Self::Tripped => "BreakerOpened",
            Self::Recovered => "BreakerClosed",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Accepted | Self::Recovered => "Normal",
            Self::Refused | Self::Tripped => "Warning",
        }
    }
}

/// What was told, and what waits to be.
#[derive(Default)]
pub(super) struct Events(HashMap<(ResourceId, Happening), Told>);

struct Told {
    uid: String,
    message: String,
    /// The Event that is there, and when it was made.
    event: Option<(String, Instant)>,
    count: u32,
    /// Not told yet.
    waiting: u32,
    next: Instant,
}

/// One write that is due.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Due {
    pub(super) id: ResourceId,
    pub(super) happening: Happening,
    uid: String,
    message: String,
    /// The Event to go on with; none for a new one.
    event: Option<String>,
    pub(super) count: u32,
}

impl Events {
    /// Something happened.
    pub(super) fn note(
        &mut self,
        id: &ResourceId,
        uid: &str,
        happening: Happening,
        message: &str,
        now: Instant,
    ) {
        let told = self.0.entry((id.clone(), happening)).or_insert_with(|| Told {
            uid: uid.to_owned(),
            message: String::new(),
            event: None,
            count: 0,
            waiting: 0,
            next: now,
        });
        let another = told.uid != uid;
        if another || told.event.as_ref().is_some_and(|(_, made)| now.duration_since(*made) > ANEW_AFTER) {
            (told.uid, told.event, told.count) = (uid.to_owned(), None, 0);
        }
        message.clone_into(&mut told.message);
        told.waiting = told.waiting.saturating_add(1);
    }

    /// What is to be written now.
    pub(super) fn due(&self, now: Instant) -> Vec<Due> {
        let due = self.0.iter().filter(|(_, told)| told.waiting > 0 && told.next <= now);
        due.map(|((id, happening), told)| Due {
            id: id.clone(),
            happening: *happening,
            uid: told.uid.clone(),
            message: told.message.clone(),
            event: told.event.as_ref().map(|(name, _)| name.clone()),
            count: told.count + told.waiting,
        })
        .collect()
    }

    /// One was written, as the Event of that name, or could not be.
    pub(super) fn settled(&mut self, due: &Due, written: Result<String, &Trouble>, now: Instant) {
        let Some(told) = self.0.get_mut(&(due.id.clone(), due.happening)) else { return };
        told.next = now + AGAIN_AFTER;
        match written {
            Ok(name) => {
                told.waiting = told.waiting.saturating_sub(due.count - told.count);
                told.count = due.count;
                let made =
                    told.event.take().filter(|(known, _)| *known == name).map_or(now, |(_, made)| made);
                told.event = Some((name, made));
            }
            // The cluster has forgotten it: the next one is a new one.
            Err(trouble) if trouble.kind == TroubleKind::NotFound => told.event = None,
            Err(_) => {}
        }
    }

    /// Forgets what is of objects that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&ResourceId) -> bool) {
        self.0.retain(|(id, _), _| is_there(id));
    }
}

impl Due {
    /// Writes it. The Event's name.
    pub(super) async fn write(&self, cluster: &Cluster) -> Result<String, Trouble> {
        let events = cluster.events(&self.id.namespace);
        let now = Timestamp::now().to_string();
        if let Some(name) = &self.event {
            let patch = json!({ "count": self.count, "lastTimestamp": now, "message": self.message });
            within(CALL, events.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await?;
            return Ok(name.clone());
        }
        let name = format!("{}.{}", self.id.object, Uuid::now_v7().simple());
        let event = json!({
            "metadata": { "name": name, "namespace": self.id.namespace },
            "involvedObject": {
                "apiVersion": API_VERSION, "kind": KIND,
                "namespace": self.id.namespace, "name": self.id.object, "uid": self.uid,
            },
            "reason": self.happening.reason(),
            "type": self.happening.kind(),
            "message": self.message,
            "source": { "component": "levee" },
            "reportingComponent": "levee.dev/controller",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": self.count,
        });
        let event: Event = serde_json::from_value(event).expect("these are fields of an Event");
        within(CALL, events.create(&PostParams::default(), &event)).await?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests;
