//! What replicas know of each other through Redis.

use tokio_util::task::TaskTracker;

use crate::redis::Redis;

/// Which of them live.
pub mod replicas;

pub use replicas::Replicas;

/// What an engine needs to share what it knows.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Who else there is.
    pub replicas: Replicas,
    /// Where it is shared; `None` where no Redis was named.
    pub redis: Option<Redis>,
    /// Runs what nobody waits for.
    pub tasks: TaskTracker,
}

impl Fleet {
    /// Of all replicas that share this Redis.
    pub fn new(redis: Option<Redis>, tasks: TaskTracker) -> Self {
        Self { replicas: Replicas::new(redis.clone()), redis, tasks }
    }

    /// Of one replica that shares nothing.
    pub fn alone() -> Self {
        Self::new(None, TaskTracker::new())
    }
}
