//! Fetches the keys of an issuer and keeps them fresh, beside all calls: whatever happens to the issuer, the last keys count.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::sealed_file::{Form, KeptError, SealedFile};
use crate::identity::issuer::{Issuer, KeySet, KeySetError};
use crate::telemetry::metrics::{IssuerFetch, Metrics};

/// The API server of Kubernetes as an issuer.
pub mod kubernetes;

/// How old keys may become before they are fetched again, a tenth more or less: so long may a key count that was taken back.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// A fetch that takes longer failed.
const FETCH_WITHIN: Duration = Duration::from_secs(10);
/// What the first pause after a failure is about, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The least between two fetches because of tokens whose key is unknown: anybody can make such tokens.
const BETWEEN_UNKNOWN: Duration = Duration::from_secs(10);
/// How long a start waits for keys when it has none.
const FIRST_WITHIN: Duration = Duration::from_secs(5);

/// File of the keys of Kubernetes.
pub const KUBERNETES: Form =
    Form { name: "levee-keys-kubernetes", magic: "levee issuer keys 1\n", field: "keys of kubernetes" };

/// Why no keys came.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be asked; in words that hold no secret.
    #[error("{0}")]
    Unreachable(String),
    /// It answered something else.
    #[error("{0}")]
    Refused(String),
    /// It took longer than a fetch may.
    #[error("it did not answer within {} s", FETCH_WITHIN.as_secs())]
    TooSlow,
    /// What it answered is of no use.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

/// What became of asking once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Keys came.
    Came,
    /// The issuer answered, and will hardly answer otherwise in a moment.
    Useless,
    /// It is not there, or not yet.
    Away,
}

impl FetchError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Unreachable(_) | Self::TooSlow => Outcome::Away,
            Self::Refused(_) | Self::Keys(_) => Outcome::Useless,
        }
    }
}

/// Where keys come from.
pub trait KeySource: Send + Sync {
    /// Asks once.
    fn fetch(&self) -> impl Future<Output = Result<KeySet, FetchError>> + Send;
}

/// What is known of an issuer, for `/status` and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerReport {
    /// What we call it.
    pub name: &'static str,
    /// What it calls itself; `None` while it has no keys here.
    pub issuer: Option<String>,
    /// Keys that count.
    pub keys: usize,
    /// When they were fetched.
    pub fetched: Option<SystemTime>,
    /// Why the last fetch brought nothing.
    pub failing: Option<String>,
}

/// Keeps the keys of one issuer.
pub struct IssuerKeys {
    issuer: Arc<Issuer>,
    kept: Option<SealedFile>,
    failing: Mutex<Option<String>>,
    metrics: Arc<Metrics>,
}

/// Keys as they lie on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    issuer: String,
    keys: Value,
    fetched: u64,
}

impl IssuerKeys {
    /// Those of `issuer`, kept in a file as well if there is one. What was kept counts from now on.
    pub fn new(issuer: Arc<Issuer>, kept: Option<SealedFile>, metrics: Arc<Metrics>) -> Self {
        let keys = Self { issuer, kept, failing: Mutex::default(), metrics };
        keys.take_kept();
        keys
    }

    /// What is known now.
    pub fn report(&self) -> IssuerReport {
        let trusted = self.issuer.trusted();
        IssuerReport {
            name: self.issuer.name(),
            issuer: trusted.as_ref().map(|keys| keys.issuer().to_owned()),
            keys: trusted.as_ref().map_or(0, |keys| keys.count()),
            fetched: trusted.as_ref().map(|keys| keys.fetched()),
            failing: self.failing.lock().clone(),
        }
    }

    /// Without any keys, asks for some before it goes on, for a few seconds while nobody answers: whoever is ready should know
    /// its callers.
    pub async fn first(&self, source: &impl KeySource) {
        let come = async {
            while self.issuer.trusted().is_none() && matches!(self.refresh(source).await, Outcome::Away) {
                sleep_until(Instant::now() + pause(1)).await;
            }
        };
        if timeout(FIRST_WITHIN, come).await.is_err() {
            tracing::warn!(name = self.issuer.name(), "the start waits no longer for the issuer's keys");
        }
    }

    /// Fetches again and again until `stop`: when the keys are old, after a failure, and when a token names an unknown one.
    pub async fn keep_fresh(self: Arc<Self>, source: impl KeySource, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            let asked = Instant::now();
            failures = if matches!(self.refresh(&source).await, Outcome::Came) { 0 } else { failures + 1 };
            let due = Instant::now() + pause(failures);
            let unknown = async {
                self.issuer.unknown_key().await;
                sleep_until((asked + BETWEEN_UNKNOWN).max(Instant::now())).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(due) => {}
                () = unknown => tracing::debug!(issuer = self.issuer.name(), "a token names an unknown key"),
            }
        }
    }

    async fn refresh(&self, source: &impl KeySource) -> Outcome {
        let fetched = timeout(FETCH_WITHIN, source.fetch()).await.unwrap_or(Err(FetchError::TooSlow));
        match fetched {
            Ok(keys) => {
                self.metrics.issuer_fetch(self.issuer.name(), IssuerFetch::Ok);
                self.came(keys).await;
                Outcome::Came
            }
            Err(error) => {
                self.metrics.issuer_fetch(self.issuer.name(), IssuerFetch::Failed);
                self.failed(&error);
                error.outcome()
            }
        }
    }

    async fn came(&self, keys: KeySet) {
        let (issuer, count) = (keys.issuer().to_owned(), keys.count());
        let before = self.issuer.trusted();
        let changed = before.is_none_or(|before| !before.same(&keys));
        self.issuer.trust(keys);
        if self.failing.lock().take().is_some() || changed {
            tracing::info!(
                name = self.issuer.name(),
                issuer,
                keys = count,
                "tokens of this issuer are verified"
            );
        }
        self.keep().await;
    }

    fn failed(&self, error: &FetchError) {
        let (reason, name) = (error.to_string(), self.issuer.name());
        let mut failing = self.failing.lock();
        if failing.as_ref() != Some(&reason) {
            let keys = self.issuer.trusted().map_or(0, |keys| keys.count());
            tracing::warn!(name, reason, keys, "the issuer's keys cannot be fetched; the last ones stay");
        }
        *failing = Some(reason);
    }

    async fn keep(&self) {
        let (Some(file), Some(keys)) = (self.kept.clone(), self.issuer.trusted()) else { return };
        let write = move || file.write(&written(&keys));
        match tokio::task::spawn_blocking(write).await {
            Ok(Err(error)) => tracing::error!(%error, "the issuer's keys cannot be kept on disk"),
            Err(panicked) => tracing::error!(%panicked, "keeping the issuer's keys failed"),
            Ok(Ok(())) => {}
        }
    }

    fn take_kept(&self) {
        let Some(file) = &self.kept else { return };
        match file.read().and_then(|kept| kept.map(|bytes| read(&bytes)).transpose()) {
            Ok(Some(keys)) => self.issuer.trust(keys),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(file = %file.path().display(), %error, "the keys on disk are ignored");
            }
        }
    }
}

fn written(keys: &KeySet) -> Vec<u8> {
    let fetched = keys.fetched().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let kept = Kept { issuer: keys.issuer().to_owned(), keys: keys.written(), fetched };
    serde_json::to_vec(&kept).expect("texts and numbers always serialise")
}

fn read(bytes: &[u8]) -> Result<KeySet, KeptError> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(|_| KeptError::Foreign)?;
    let fetched = UNIX_EPOCH.checked_add(Duration::from_secs(kept.fetched)).ok_or(KeptError::Foreign)?;
    KeySet::read(&kept.issuer, &kept.keys, fetched).map_err(|_| KeptError::Foreign)
}

/// Until the next fetch. Replicas that began together part.
fn pause(failures: u32) -> Duration {
    let (first, longest) = PAUSES;
    let pause = match failures.checked_sub(1) {
        None => FRESH_FOR,
        Some(doublings) => (first * 2_u32.saturating_pow(doublings.min(16))).min(longest),
    };
    pause.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests;
