//! Hashing passwords: Argon2id, a few at a time beside the runtime, so that logins cannot starve calls.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::Failure;

/// Argon2id itself.
mod argon;
/// What is no good password.
mod weak;

pub use weak::{LENGTH, refuse};

/// Who may wait beside those that are being hashed.
const QUEUE: usize = 32;

/// The longest wait for a turn.
const WAIT: Duration = Duration::from_secs(2);

/// The niceness of the hashing threads: a tenth of an ordinary thread's share where they compete, and out of the way
/// within a slice of the scheduler (some 3 ms since Linux 6.6) when a call wakes up on their core. The idle class would
/// be gone at once, but gets next to nothing on a machine that is all busy: nobody could sign in to see why.
const NICENESS: i32 = 10;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Right {
        /// A hash under today's parameters, where the kept one is weaker.
        rehash: Option<String>,
    },
    /// It is not, or there is no such user.
    Wrong,
}

/// Hashes and checks, at most half as many at once as there are cores, with a short queue.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    jobs: mpsc::Sender<Job>,
}

/// Something to hash, with the turn and the place in the queue it holds until it is done.
struct Job {
    run: Box<dyn FnOnce(&mut argon::Memory) + Send>,
    turn: OwnedSemaphorePermit,
    place: OwnedSemaphorePermit,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

impl Passwords {
    /// A pool for this machine. Its threads end when its last handle is dropped.
    pub fn new() -> Self {
        Self::of(thread::available_parallelism().map_or(1, NonZero::get).div_euclid(2).max(1))
    }

    fn of(threads: usize) -> Self {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let spawned = thread::Builder::new().name("passwords".to_owned()).spawn(move || work(&queue));
            spawned.expect("the system starts a few threads");
        }
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { turns: semaphore(threads), places: semaphore(threads + QUEUE), jobs }
    }

    /// The PHC string to keep. Unavailable when the queue is full or the wait too long.
    pub async fn hash(&self, password: SecretString) -> Result<String, Failure> {
        self.run(move |memory| argon::hash(memory, &password)).await
    }

    /// Compares with a kept PHC string. `None` hashes a dummy and says wrong, in the same time.
    pub async fn verify(&self, password: SecretString, kept: Option<String>) -> Result<Verdict, Failure> {
        self.run(move |memory| argon::verify(memory, &password, kept.as_deref())).await?
    }

    /// Runs it on a thread of the pool, in turn. A caller who leaves gives its place away; what is being hashed already
    /// is finished, and its turn is given on only then.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut argon::Memory) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Failure::unavailable("too many passwords are waiting to be hashed"))?;
        let turn = tokio::time::timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Failure::unavailable("no password was hashed in time"))?;
        let turn = turn.map_err(Failure::internal)?;
        let (answer, answered) = oneshot::channel();
        let run = Box::new(move |memory: &mut argon::Memory| {
            // An error means that nobody waits for it any more.
            let _ = answer.send(job(memory));
        });
        let job = Job { run, turn, place };
        self.jobs.send(job).map_err(|_| Failure::internal("the hashing threads have ended"))?;
        answered.await.map_err(Failure::internal)
    }
}

/// Hashes until the pool is dropped. What a hash needs of memory is kept from one to the next while there are more,
/// because asking the kernel for it each time costs as much as a tenth of the hash, and holds up who calls.
fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    // Without it logins only weigh more than they should.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "the priority of a hashing thread cannot be lowered");
    }
    let next = || queue.lock().recv();
    while let Ok(first) = next() {
        let mut memory = argon::Memory::default();
        let mut job = Some(first);
        while let Some(Job { run, turn, place }) = job {
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut memory)));
            // Whoever waited is told by the channel it waits on.
            if ran.is_err() {
                tracing::error!("hashing a password panicked");
            }
            drop((turn, place));
            job = queue.try_lock().and_then(|queue| queue.try_recv().ok());
        }
    }
}

#[cfg(test)]
mod tests;
