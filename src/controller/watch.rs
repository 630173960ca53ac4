//! List and watch: a list to begin with, then every change, for as long as the process runs.
//!
//! A watch ends by itself after a while and goes on from where it was. Only where the server has forgotten that place
//! (410) everything is listed again. Bookmarks move the place on while nothing changes, and show that the line is alive.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt as _, pin_mut};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::Resource;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::cluster::{CALL, Trouble, TroubleKind, within};

/// Load balancers in front of API servers cut at four minutes or so.
const WATCH_SECONDS: u32 = 200;

/// A watch that is silent for longer is dead: the server should have ended it.
const LONGEST_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// Objects in one page of a list.
const PAGE: u32 = 250;

/// A watch that ends sooner is counted as a failure, lest it be asked for again without a pause.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Who is told what the server says.
pub(super) trait Follower<K>: Send + Sync {
    /// Everything there is, in place of what there was.
    fn listed(&self, all: Vec<K>);
    /// One came, or is another one now.
    fn applied(&self, one: K);
    /// One went.
    fn deleted(&self, one: K);
    /// The line is alive.
    fn in_contact(&self);
    /// It is not, or the server refuses.
    fn in_trouble(&self, trouble: Trouble);
}

/// Follows what `api` has, or the one object of it called `name`, until `stop`.
pub(super) fn follow<K>(
    api: Api<K>,
    name: Option<String>,
    follower: impl Follower<K>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let fields = name.map(|name| format!("metadata.name={name}"));
    async move {
        let mut watch =
            Watch { api, fields, follower, place: None, backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE) };
        stop.run_until_cancelled(watch.run()).await;
    }
}

struct Watch<K, F> {
    api: Api<K>,
    fields: Option<String>,
    follower: F,
    /// The version to go on from.
    place: Option<String>,
    backoff: Backoff,
}

impl<K, F> Watch<K, F>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    F: Follower<K>,
{
    async fn run(&mut self) {
        loop {
            let began = Instant::now();
            let ended = match self.place.clone() {
                None => self.list().await,
                Some(place) => self.watch(place).await.and_then(|()| {
                    let short = began.elapsed() < SHORTEST_WATCH;
                    if short { Err(Trouble::other("the watch ended at once")) } else { Ok(()) }
                }),
            };
            match ended {
                Ok(()) => self.backoff.reset(),
                Err(trouble) => {
                    if trouble.kind == TroubleKind::Gone {
                        self.place = None;
                    }
                    self.follower.in_trouble(trouble);
                    sleep(self.backoff.next()).await;
                }
            }
        }
    }

    async fn list(&mut self) -> Result<(), Trouble> {
        let mut parameters =
            ListParams { field_selector: self.fields.clone(), ..ListParams::default() }.limit(PAGE);
        let mut all = Vec::new();
        let version = loop {
            let page = within(CALL, self.api.list(&parameters)).await?;
            all.extend(page.items);
            let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else {
                break page.metadata.resource_version;
            };
            parameters = parameters.continue_token(&token);
        };
        self.place = Some(version.ok_or_else(|| Trouble::other("the list has no version to watch from"))?);
        self.follower.listed(all);
        self.follower.in_contact();
        Ok(())
    }

    async fn watch(&mut self, place: String) -> Result<(), Trouble> {
        let parameters = WatchParams {
            field_selector: self.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            ..WatchParams::default()
        };
        let events = within(CALL, self.api.watch(&parameters, &place)).await?;
        pin_mut!(events);
        self.follower.in_contact();
        loop {
            let event = match timeout(LONGEST_SILENCE, events.next()).await {
                Ok(Some(event)) => event?,
                Ok(None) => return Ok(()),
                Err(_) => return Err(Trouble::other("the watch was silent for too long")),
            };
            self.take(event)?;
        }
    }

    fn take(&mut self, event: WatchEvent<K>) -> Result<(), Trouble> {
        let version = match &event {
            WatchEvent::Added(one) | WatchEvent::Modified(one) | WatchEvent::Deleted(one) => {
                one.meta().resource_version.clone()
            }
            WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version.clone()),
            WatchEvent::Error(status) => return Err(Trouble::of_status(status)),
        };
        self.place = version.or(self.place.take());
        self.backoff.reset();
        match event {
            WatchEvent::Added(one) | WatchEvent::Modified(one) => self.follower.applied(one),
            WatchEvent::Deleted(one) => self.follower.deleted(one),
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
        self.follower.in_contact();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
