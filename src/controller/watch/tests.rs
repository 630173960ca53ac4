//! Watches that say nothing, and watches that end at once, under paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;

use super::*;

/// What the body of every watch is.
#[derive(Clone, Copy)]
enum Watched {
    /// Nothing, for ever.
    Silence,
    /// Nothing, and then its end.
    Nothing,
}

#[derive(Clone, Default)]
struct Told {
    lists: Arc<AtomicUsize>,
    watches: Arc<AtomicUsize>,
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Follower<Secret> for Told {
    fn listed(&self, _: Vec<Secret>) {}
    fn applied(&self, _: Secret) {}
    fn deleted(&self, _: Secret) {}
    fn in_contact(&self) {}
    fn in_trouble(&self, trouble: Trouble) {
        self.troubles.lock().push(trouble.to_string());
    }
}

fn body(watched: Watched) -> UnsyncBoxBody<Bytes, std::io::Error> {
    match watched {
        Watched::Silence => {
            let silence = futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
            UnsyncBoxBody::new(StreamBody::new(silence))
        }
        Watched::Nothing => whole(""),
    }
}

fn whole(text: &'static str) -> UnsyncBoxBody<Bytes, std::io::Error> {
    UnsyncBoxBody::new(Full::new(Bytes::from(text)).map_err(|never| match never {}))
}

/// Follows Secrets that are watched like this.
fn following(watched: Watched) -> (Told, CancellationToken) {
    let (told, stop) = (Told::default(), CancellationToken::new());
    let asked = told.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (count, body) = if is_watch {
            (&asked.watches, body(watched))
        } else {
            (&asked.lists, whole(r#"{ "items": [], "metadata": { "resourceVersion": "7" } }"#))
        };
        count.fetch_add(1, Relaxed);
        async move { Ok::<_, std::io::Error>(Response::new(body)) }
    });
    let secrets: Api<Secret> = Api::namespaced(Client::new(service, "levee"), "levee");
    tokio::spawn(follow(secrets, Some("stripe".to_owned()), told.clone(), stop.clone()));
    (told, stop)
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_silent_for_too_long_is_asked_for_anew_from_where_it_was() {
    let (told, stop) = following(Watched::Silence);
    sleep(Duration::from_secs(u64::from(WATCH_SECONDS) + 9)).await;
    assert_eq!((told.watches.load(Relaxed), told.troubles.lock().len()), (1, 0));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(told.watches.load(Relaxed), 2);
    assert_eq!(*told.troubles.lock(), ["the watch was silent for too long"]);
    assert_eq!(told.lists.load(Relaxed), 1, "nothing is listed again");
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_is_asked_for_after_growing_pauses() {
    let (told, stop) = following(Watched::Nothing);
    sleep(Duration::from_secs(300)).await;
    let watches = told.watches.load(Relaxed);
    assert!((10..=40).contains(&watches), "{watches} in five minutes");
    stop.cancel();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(told.watches.load(Relaxed), watches, "it has stopped");
}
