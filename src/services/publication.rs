//! The one door out: merges the sources (custom resource > file > API) and publishes what calls read.
//!
//! Whatever changes, a file or the database, everything that calls read is made anew from both and published as one.
//! While the database is away, what was published last stays in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::error::Fault;
use crate::gateway::Gateway;
use crate::gateway::credentials::Vault;
use crate::gateway::snapshot::{Snapshot, Surroundings};
use crate::identity::directory::{Authenticator, Directory};
use crate::identity::ring::KeyRing;
use crate::models::custom_resource::CustomResource;
use crate::models::policy::Upstream;
use crate::models::registration::Stored;
use crate::repositories::{PoolReading, SchemaError, Store};
use crate::services::upstreams::UpstreamFiles;

/// Keeping what is in force.
mod keeping;
/// The state on disk.
pub mod kept;
/// Three sources become one set.
mod merge;
/// Breakers that people forced.
mod overrides;
/// Upstreams of the cluster.
mod resources;

pub use merge::{Entry, Merged, ResourceReport, Source};
pub use resources::{KeptResource, SecretStanding};

use kept::{Kept, KeptState};
use merge::Documents;
use overrides::Overrides;
use resources::Resources;

/// How often the database is asked whether it has changed.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How often watched files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A writer waits no longer for its own change to be in force here.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What the publisher works on.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// What opens stored credentials.
    pub ring: KeyRing,
    /// Where snapshots go.
    pub gateway: Arc<Gateway>,
    /// Where directories go.
    pub authenticator: Arc<Authenticator>,
    /// What snapshots are built with.
    pub around: Surroundings,
    /// The watched files.
    pub files: UpstreamFiles,
    /// Where the state is kept for a start without a database.
    pub kept: Option<KeptState>,
}

/// Publishes what is stored and what the files say.
pub struct Publisher {
    parts: Parts,
    /// One publication at a time.
    turn: Mutex<Turn>,
    published: watch::Sender<Arc<Published>>,
    /// Somebody waits for the database to be asked now.
    asked: Notify,
    schema_checked: AtomicBool,
    /// Since when the database is away, and why.
    away: Mutex<Option<Away>>,
    /// What is on disk.
    kept: Mutex<Option<Kept>>,
}

/// What is remembered from one publication to the next.
#[derive(Default)]
struct Turn {
    files: Arc<Vec<Upstream>>,
    documents: Documents,
    overrides: Overrides,
    resources: Resources,
    /// Upstreams of the cluster count here: some were told, or there are none.
    in_cluster: bool,
}

/// What is in force.
#[derive(Default)]
pub struct Published {
    /// What the database said.
    pub stored: Arc<Stored>,
    /// It was read from disk, because the database could not be reached.
    pub from_disk: bool,
    /// Every upstream, and what is wrong with those that are not in force.
    pub merged: Merged,
    /// Upstreams of the cluster, as they are kept on disk; none where no cluster is asked.
    pub resources: Option<Arc<Vec<KeptResource>>>,
}

/// The database cannot be reached.
#[derive(Debug, Clone)]
pub struct Away {
    /// Since when.
    pub since: Instant,
    /// Why.
    pub reason: String,
}

/// What is another one than before.
#[derive(Default)]
struct Change {
    files: Option<Vec<Upstream>>,
    reading: Option<Reading>,
    resources: Option<Vec<CustomResource>>,
}

impl Change {
    fn of_files(files: Vec<Upstream>) -> Self {
        Self { files: Some(files), ..Self::default() }
    }

    fn of_database(reading: Reading) -> Self {
        Self { reading: Some(reading), ..Self::default() }
    }
}

/// What the database said, and where that was read.
struct Reading {
    stored: Arc<Stored>,
    from_disk: bool,
}

impl Publisher {
    /// Nothing is published yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            turn: Mutex::default(),
            published: watch::Sender::default(),
            asked: Notify::new(),
            schema_checked: AtomicBool::new(false),
            away: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// Publishes for the first time, with what the database says; its schema has been checked. Waits for it when it
    /// goes away meanwhile. What is wrong with the files is an error.
    pub async fn load(self: &Arc<Self>) -> Result<(), Vec<String>> {
        self.schema_checked.store(true, Relaxed);
        let files = self.read_files().await?;
        loop {
            match self.parts.store.stored().await {
                Ok(stored) => {
                    let reading = Some(Reading { stored: Arc::new(stored), from_disk: false });
                    return self.publish(Change { reading, ..Change::of_files(files) }).await;
                }
                Err(error) => self.note_away(&SchemaError::Store(error)),
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Publishes for the first time, with what was kept on disk. The database is asked on.
    pub async fn load_kept(self: &Arc<Self>, stored: Arc<Stored>) -> Result<(), Vec<String>> {
        let files = self.read_files().await?;
        let reading = Some(Reading { stored, from_disk: true });
        self.publish(Change { reading, ..Change::of_files(files) }).await
    }

    /// Publishes again whenever files or the database change, until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let watching = async {
            tokio::join!(self.watch_database(), self.watch_files(), self.keep());
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Ends when this replica runs at least `revision`, after having asked the database for it at once. It waits at
    /// most a second: the write it belongs to is done whatever comes of this.
    pub async fn reached(&self, revision: u64) {
        let mut published = self.published.subscribe();
        self.asked.notify_one();
        let reached = published.wait_for(|published| published.stored.revision >= revision);
        if tokio::time::timeout(LONGEST_WAIT, reached).await.is_err() {
            tracing::warn!(revision, "a change is stored but not in force here yet");
        }
    }

    /// What is in force.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.borrow())
    }

    /// Whether the database is away.
    pub fn away(&self) -> Option<Away> {
        self.away.lock().clone()
    }

    /// The database's pools now.
    pub fn pools(&self) -> Vec<PoolReading> {
        self.parts.store.pools()
    }

    /// Before anything is published: begins with what the cluster said before this process was started.
    pub fn begin_with_kept_resources(&self, kept: &[KeptResource]) {
        let mut turn = self.turn.lock();
        turn.resources.begin_with(kept, self.parts.files.rules());
        turn.in_cluster = true;
    }

    /// Before anything is published: begins with what the cluster says.
    pub fn begin_with_resources(&self, resources: Vec<CustomResource>) {
        let mut turn = self.turn.lock();
        turn.resources.replace(resources, self.parts.files.rules(), &self.parts.ring);
        turn.in_cluster = true;
    }

    /// Publishes with what the cluster says now. Nothing is an error: what is wrong with one of them concerns that one.
    pub async fn take_resources(self: &Arc<Self>, resources: Vec<CustomResource>) {
        let change = Change { resources: Some(resources), ..Change::default() };
        if let Err(faults) = self.publish(change).await {
            tracing::error!(?faults, "what the cluster says cannot take effect");
        }
    }

    /// Every wrong place of a document that would be called `name`, held against all others.
    pub fn judge(&self, name: &str, spec: &Value) -> Result<(), Vec<Fault>> {
        self.published().merged.judge(name, spec, self.parts.files.rules())
    }

    async fn watch_database(self: &Arc<Self>) {
        let mut ticks = tokio::time::interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.asked.notified() => {}
                () = self.parts.store.hinted() => {}
            }
            match self.refresh().await {
                Ok(()) => self.note_back(),
                Err(error) => self.note_away(&error),
            }
        }
    }

    async fn refresh(self: &Arc<Self>) -> Result<(), SchemaError> {
        let store = &self.parts.store;
        if !self.schema_checked.load(Relaxed) {
            store.check_schema().await?;
            self.schema_checked.store(true, Relaxed);
        }
        let revision = store.revision().await?;
        let now = self.published();
        if revision == now.stored.revision && !now.from_disk {
            return Ok(());
        }
        let stored = store.stored().await?;
        let change = Change::of_database(Reading { stored: Arc::new(stored), from_disk: false });
        if let Err(faults) = self.publish(change).await {
            tracing::error!(?faults, "what is stored cannot take effect");
        }
        Ok(())
    }

    async fn watch_files(self: &Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let publisher = Arc::clone(self);
            let changed = tokio::task::spawn_blocking(move || publisher.parts.files.changed());
            let taken = match changed.await {
                Ok(false) => Ok(()),
                Ok(true) => match self.read_files().await {
                    Ok(files) => self.publish(Change::of_files(files)).await,
                    Err(faults) => Err(faults),
                },
                Err(panicked) => Err(vec![format!("looking at them failed: {panicked}")]),
            };
            for fault in taken.err().into_iter().flatten() {
                tracing::error!(fault, "upstream file refused; the last good version stays in force");
            }
        }
    }

    async fn read_files(self: &Arc<Self>) -> Result<Vec<Upstream>, Vec<String>> {
        let publisher = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || publisher.parts.files.read()).await;
        let read = read.unwrap_or_else(|panicked| Err(vec![format!("reading failed: {panicked}")]));
        read.inspect_err(|faults| self.parts.files.refused(faults))
    }

    /// Makes everything anew, with what has changed.
    async fn publish(self: &Arc<Self>, change: Change) -> Result<(), Vec<String>> {
        let publisher = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || publisher.publish_now(change)).await;
        done.unwrap_or_else(|panicked| Err(vec![format!("publishing failed: {panicked}")]))
    }

    fn publish_now(&self, change: Change) -> Result<(), Vec<String>> {
        let mut guard = self.turn.lock();
        let turn = &mut *guard;
        let (before, rules) = (self.published(), self.parts.files.rules());
        let from_files = change.files.is_some();
        let files = change.files.map_or_else(|| Arc::clone(&turn.files), Arc::new);
        let (stored, from_disk) = match change.reading {
            Some(reading) => (reading.stored, reading.from_disk),
            None => (Arc::clone(&before.stored), before.from_disk),
        };
        if let Some(resources) = change.resources {
            turn.resources.replace(resources, rules, &self.parts.ring);
        }
        let documents = &mut turn.documents;
        let mut merged = Merged::of(&turn.resources, &files, &stored.upstreams, documents, rules);
        let compiled = self.compile(&mut merged, &stored);
        let snapshot = compiled.inspect_err(|faults| {
            if from_files {
                self.parts.files.refused(faults);
            }
        })?;
        turn.overrides.apply(&snapshot, &stored.overrides);
        let (revision, count) = (snapshot.revision, snapshot.all().count());
        self.parts.gateway.publish(snapshot);
        self.parts.authenticator.publish(Directory::of(&stored));
        self.parts.around.metrics.snapshot_applied(revision);
        if from_files {
            self.parts.files.accepted();
        }
        merged.tell_what_is_new(&before.merged);
        turn.files = files;
        turn.resources.note_good(&merged);
        let resources = turn.in_cluster.then(|| Arc::new(turn.resources.to_keep()));
        self.published.send_replace(Arc::new(Published { stored, from_disk, merged, resources }));
        tracing::info!(revision, upstreams = count, "upstreams in force");
        Ok(())
    }

    /// An upstream that cannot be built is left out; one of a file keeps the whole from taking effect.
    fn compile(&self, merged: &mut Merged, stored: &Stored) -> Result<Snapshot, Vec<String>> {
        loop {
            let upstreams = merged.in_force().cloned().collect();
            let previous = self.parts.gateway.snapshot();
            let vault = Vault::new(&self.parts.ring, merged.credentials(stored));
            match Snapshot::compile(stored.revision, upstreams, &vault, &previous, &self.parts.around) {
                Ok(snapshot) => return Ok(snapshot),
                Err(unbuilt) => merged.leave_out(&unbuilt)?,
            }
        }
    }

    fn note_away(&self, error: &SchemaError) {
        let mut away = self.away.lock();
        let (reason, revision) = (error.to_string(), self.published().stored.revision);
        if away.as_ref().is_none_or(|away| away.reason != reason) {
            tracing::warn!(reason, revision, "the database cannot be read; what was in force stays");
        }
        let since = away.as_ref().map_or_else(Instant::now, |away| away.since);
        *away = Some(Away { since, reason });
    }

    fn note_back(&self) {
        if let Some(away) = self.away.lock().take() {
            tracing::info!(after = ?away.since.elapsed(), "the database can be read again");
        }
    }
}
