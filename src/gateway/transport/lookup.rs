//! Names to addresses: look-ups of one name are shared, so that a name nobody answers for cannot take all threads.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Look-ups at once. getaddrinfo blocks a thread, for many seconds where the resolver is dead.
const MOST_LOOKUPS: usize = 64;
/// Look-ups of one name at once.
const MOST_OF_ONE_NAME: usize = 4;
/// A look-up this old may have lost a packet: who asks now begins another.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// What came of a look-up; a fault in words for the log.
pub(super) type Found = Result<Vec<IpAddr>, String>;

/// Where a look-up stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// All threads for it are taken.
    InLine,
    /// The resolver has been asked.
    Asked,
    /// It has answered.
    Done(Found),
}

type Resolver = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The look-ups under way.
pub(super) struct Lookups {
    threads: Arc<Semaphore>,
    names: Mutex<HashMap<String, Vec<Lookup>>>,
    resolver: Box<Resolver>,
    tracker: TaskTracker,
}

struct Lookup {
    began: Instant,
    progress: watch::Receiver<Progress>,
}

impl Lookups {
    /// None yet; the system's resolver will be asked. Those who wait for a thread do so on `tracker`.
    pub(super) fn new(tracker: TaskTracker) -> Arc<Self> {
        Self::asking(tracker, |name| Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect()))
    }

    fn asking(
        tracker: TaskTracker,
        resolver: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let threads = Arc::new(Semaphore::new(MOST_LOOKUPS));
        Arc::new(Self { threads, names: Mutex::default(), resolver: Box::new(resolver), tracker })
    }

    /// Joins the look-up of that name, or begins one.
    pub(super) fn ask(self: &Arc<Self>, name: &str) -> watch::Receiver<Progress> {
        let mut names = self.names.lock();
        let of_name = names.entry(name.to_owned()).or_default();
        // One that has ended is good for those who asked before that, not for who asks now.
        of_name.retain(|lookup| lookup.progress.has_changed().is_ok());
        if let Some(newest) = of_name.last()
            && (of_name.len() >= MOST_OF_ONE_NAME || newest.began.elapsed() < SHARED_FOR)
        {
            return newest.progress.clone();
        }
        let (told, progress) = watch::channel(Progress::InLine);
        of_name.push(Lookup { began: Instant::now(), progress: progress.clone() });
        drop(names);
        self.tracker.spawn(Arc::clone(self).begin(name.to_owned(), told));
        progress
    }

    /// Waits for a thread, and leaves it the rest: whoever gives up makes the look-up end no sooner.
    async fn begin(self: Arc<Self>, name: String, told: watch::Sender<Progress>) {
        let Ok(thread) = Arc::clone(&self.threads).acquire_owned().await else { return };
        told.send_replace(Progress::Asked);
        drop(tokio::task::spawn_blocking(move || {
            let found = (self.resolver)(&name).map_err(|error| error.to_string());
            told.send_replace(Progress::Done(found));
            drop((told, thread));
            self.forget(&name);
        }));
    }

    /// For tests: as if other names' look-ups had them.
    #[cfg(test)]
    pub(super) async fn take_all_threads(&self) -> tokio::sync::OwnedSemaphorePermit {
        Arc::clone(&self.threads).acquire_many_owned(MOST_LOOKUPS as u32).await.expect("it is never closed")
    }

    /// Lets a name go of which nothing is under way.
    fn forget(&self, name: &str) {
        let mut names = self.names.lock();
        if let Some(of_name) = names.get_mut(name) {
            of_name.retain(|lookup| lookup.progress.has_changed().is_ok());
            if of_name.is_empty() {
                names.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const FOUND: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A resolver that answers for `dead…` when the sender says so, counting what it is asked; for others at once.
    fn lookups() -> (Arc<Lookups>, Arc<AtomicUsize>, mpsc::Sender<()>) {
        let (asked, (answer, answers)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel::<()>());
        let (count, answers) = (Arc::clone(&asked), Mutex::new(answers));
        let lookups = Lookups::asking(TaskTracker::new(), move |name| {
            count.fetch_add(1, Ordering::SeqCst);
            if name.starts_with("dead") {
                let _ = answers.lock().recv();
            }
            Ok(vec![FOUND])
        });
        (lookups, asked, answer)
    }

    async fn done(mut lookup: watch::Receiver<Progress>) -> Progress {
        lookup.wait_for(|progress| matches!(progress, Progress::Done(_))).await.unwrap().clone()
    }

    #[tokio::test]
    async fn those_who_ask_for_one_name_share_a_look_up_and_keep_none_from_another() {
        let (lookups, asked, answer) = lookups();
        let waiting: Vec<_> = (0..1000).map(|_| lookups.ask("dead")).collect();
        assert_eq!(done(lookups.ask("alive")).await, Progress::Done(Ok(vec![FOUND])));
        answer.send(()).unwrap();
        for lookup in waiting {
            assert_eq!(done(lookup).await, Progress::Done(Ok(vec![FOUND])));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        while !lookups.names.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(done(lookups.ask("alive")).await, Progress::Done(Ok(vec![FOUND])));
        assert_eq!(asked.load(Ordering::SeqCst), 3, "an old answer is not used again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_takes_long_is_joined_by_a_few_more_and_no_others() {
        let (lookups, asked, answer) = lookups();
        for _ in 0..10 {
            lookups.ask("dead");
            tokio::time::advance(SHARED_FOR).await;
        }
        while asked.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lookups.names.lock()["dead"].len(), MOST_OF_ONE_NAME);
        drop(answer);
    }

    #[tokio::test]
    async fn without_a_thread_a_look_up_stays_in_line() {
        let (lookups, _asked, answer) = lookups();
        let all = lookups.take_all_threads().await;
        let lookup = lookups.ask("alive");
        tokio::task::yield_now().await;
        assert_eq!(*lookup.borrow(), Progress::InLine);
        drop(all);
        assert_eq!(done(lookup).await, Progress::Done(Ok(vec![FOUND])));
        drop(answer);
    }
}
