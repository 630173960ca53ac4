//! Who of several replicas leads: a Lease (coordination.k8s.io/v1) with the meaning that Kubernetes' own components give
//! it. Whoever holds it renews it every two seconds; who sees it unchanged for its whole duration takes it.
//!
//! Clocks of two machines are never compared: what counts is for how long *this* replica has seen the Lease unchanged.
//! It is no fence: a leader that stalls can believe for a moment that it still leads. So the leader does only what may
//! be done twice.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use std::sync::Arc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cluster::{Trouble, TroubleKind, within};
use super::standing::Standing;

/// The Lease's name, in Levee's own namespace.
pub(super) const NAME: &str = "levee";

/// For how long others leave it alone after the last renewal.
const DURATION: Duration = Duration::from_secs(15);

/// Who could not renew for so long no longer leads.
const RENEW_WITHIN: Duration = Duration::from_secs(10);

/// Between two tries, and a fifth more at random.
const RETRY: Duration = Duration::from_secs(2);

/// One call, however long the rest may take.
const CALL: Duration = Duration::from_secs(5);

/// Giving it back must not hold up the end of the process.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);

/// This replica's part in the election.
pub(super) struct Election {
    leases: Api<Lease>,
    identity: String,
    standing: Arc<Standing>,
    observed: Option<Observed>,
    /// When the last renewal was begun that went well, while this replica leads.
    renewed: Option<Instant>,
}

/// The Lease as it was seen last, and since when it has been so.
struct Observed {
    spec: LeaseSpec,
    since: Instant,
}

impl Election {
    pub(super) fn new(leases: Api<Lease>, standing: Arc<Standing>) -> Self {
        // A pod's host name is its own; the rest tells apart what runs on one machine.
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "levee".to_owned());
        Self::called(format!("{host}_{}", Uuid::now_v7()), leases, standing)
    }

    fn called(identity: String, leases: Api<Lease>, standing: Arc<Standing>) -> Self {
        Self { leases, identity, standing, observed: None, renewed: None }
    }

    /// Takes part until `stop`, then gives back what it holds.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut said = None;
        let electing = async {
            loop {
                let trouble = self.step().await.err();
                if let Some(trouble) = trouble.as_ref().filter(|_| trouble != said) {
                    tracing::warn!(%trouble, "the Lease cannot be asked for");
                }
                said = trouble;
                sleep(self.pause()).await;
            }
        };
        stop.run_until_cancelled(electing).await;
        self.release().await;
    }

    /// One try to take or renew it.
    async fn step(&mut self) -> Result<(), Trouble> {
        let began = Instant::now();
        let limit = self.left(began).map_or(CALL, |left| left.min(CALL));
        let tried = tokio::time::timeout(limit, self.take_or_renew(began)).await;
        let tried =
            tried.unwrap_or_else(|_| Err(Trouble::other("the Kubernetes API did not answer in time")));
        match &tried {
            Ok(true) => {
                self.renewed = Some(began);
                self.standing.set_leader(Some(self.identity.clone()), &self.identity);
            }
            Ok(false) => {
                self.renewed = None;
                let holder = self.observed.as_ref().and_then(|seen| holder(&seen.spec));
                self.standing.set_leader(holder.map(str::to_owned), &self.identity);
            }
            Err(_) if self.left(Instant::now()).is_some_and(|left| left.is_zero()) => {
                self.renewed = None;
                self.standing.set_leader(None, &self.identity);
            }
            Err(_) => {}
        }
        tried.map(|_| ())
    }

    /// For how long this replica may still believe that it leads; none when it does not.
    fn left(&self, now: Instant) -> Option<Duration> {
        self.renewed.map(|renewed| RENEW_WITHIN.saturating_sub(now.duration_since(renewed)))
    }

    fn pause(&self) -> Duration {
        let pause = RETRY.mul_f64(1.0 + fastrand::f64() / 5.0);
        // It must not sleep past the moment at which it no longer leads.
        self.left(Instant::now()).filter(|left| !left.is_zero()).map_or(pause, |left| left.min(pause))
    }

    /// Whether this replica leads now.
    async fn take_or_renew(&mut self, now: Instant) -> Result<bool, Trouble> {
        let found = match within(CALL, self.leases.get(NAME)).await {
            Ok(lease) => lease,
            Err(trouble) if trouble.kind == TroubleKind::NotFound => return self.create(now).await,
            Err(trouble) => return Err(trouble),
        };
        let spec = found.spec.clone().unwrap_or_default();
        if self.observed.as_ref().is_none_or(|seen| seen.spec != spec) {
            self.observed = Some(Observed { spec: spec.clone(), since: now });
        }
        if self.is_anothers(now) {
            return Ok(false);
        }
        let own = holder(&spec) == Some(&self.identity);
        let next = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(DURATION.as_secs() as i32),
            renew_time: Some(wall_clock()),
            acquire_time: if own { spec.acquire_time.clone() } else { Some(wall_clock()) },
            lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + i32::from(!own)),
            ..spec
        };
        self.replace(found, next, now).await.map(|()| true)
    }

    fn is_anothers(&self, now: Instant) -> bool {
        let Some(Observed { spec, since }) = &self.observed else { return false };
        let lasts = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        holder(spec).is_some_and(|holder| holder != self.identity)
            && *since + Duration::from_secs(lasts) > now
    }

    async fn create(&mut self, now: Instant) -> Result<bool, Trouble> {
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(DURATION.as_secs() as i32),
            acquire_time: Some(wall_clock()),
            renew_time: Some(wall_clock()),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec) };
        let made = within(CALL, self.leases.create(&PostParams::default(), &lease)).await?;
        self.observed = made.spec.map(|spec| Observed { spec, since: now });
        Ok(true)
    }

    /// With the version that was read: of two who try at once only one gets through.
    async fn replace(&mut self, found: Lease, spec: LeaseSpec, now: Instant) -> Result<(), Trouble> {
        let metadata = ObjectMeta { managed_fields: None, ..found.metadata };
        let lease = Lease { metadata, spec: Some(spec) };
        let replaced = within(CALL, self.leases.replace(NAME, &PostParams::default(), &lease)).await?;
        self.observed = replaced.spec.map(|spec| Observed { spec, since: now });
        Ok(())
    }

    /// Lets the next one take it at once.
    async fn release(&mut self) {
        if self.renewed.take().is_none() {
            return;
        }
        self.standing.set_leader(None, &self.identity);
        let giving_back = async {
            let found = within(CALL, self.leases.get(NAME)).await?;
            let spec = found.spec.clone().unwrap_or_default();
            if holder(&spec) != Some(&self.identity) {
                return Ok(());
            }
            let next = LeaseSpec {
                holder_identity: Some(String::new()),
                lease_duration_seconds: Some(1),
                renew_time: Some(wall_clock()),
                acquire_time: Some(wall_clock()),
                ..spec
            };
            self.replace(found, next, Instant::now()).await
        };
        match tokio::time::timeout(RELEASE_WITHIN, giving_back).await {
            Ok(Ok(())) => tracing::info!("the lead was given back"),
            Ok(Err(trouble)) => tracing::warn!(%trouble, "the lead could not be given back"),
            Err(_) => tracing::warn!("the lead could not be given back in time"),
        }
    }
}

/// Nobody holds it when the name is empty: it was given back.
fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// For people who read the Lease; nothing here compares it.
fn wall_clock() -> MicroTime {
    MicroTime(Timestamp::now())
}

#[cfg(test)]
mod tests;
