//! What can go wrong between us and Redis.

use std::time::Duration;

use fred::error::{Error, ErrorKind};

/// Why there is no answer, or which error it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RedisError {
    /// It was not asked: there is no connection, or it did not answer lately.
    #[error("Redis is away")]
    Away,
    /// It did not answer in time.
    #[error("Redis did not answer within {0:?}")]
    Slow(Duration),
    /// The connection broke, or the question found no way.
    #[error("Redis cannot be reached: {0}")]
    Broken(Error),
    /// It cannot serve now: out of memory, loading, read-only, without a majority.
    #[error("Redis cannot serve: {0}")]
    Unfit(Error),
    /// It answered with an error about the question itself.
    #[error("Redis refused: {0}")]
    Refused(Error),
}

impl RedisError {
    /// It is Redis that is in trouble, not the question.
    pub fn is_down(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    pub(super) fn of(error: Error, limit: Duration) -> Self {
        match error.kind() {
            ErrorKind::Timeout => Self::Slow(limit),
            ErrorKind::IO
            | ErrorKind::Canceled
            | ErrorKind::Routing
            | ErrorKind::Backpressure
            | ErrorKind::Cluster
            | ErrorKind::Sentinel
            | ErrorKind::Tls
            | ErrorKind::Auth
            | ErrorKind::Protocol => Self::Broken(error),
            _ if is_unfit(error.details()) => Self::Unfit(error),
            _ => Self::Refused(error),
        }
    }
}

/// Replies that say so of the server, not of the command.
fn is_unfit(reply: &str) -> bool {
    let unfit = [
        "OOM",
        "LOADING",
        "READONLY",
        "MISCONF",
        "CLUSTERDOWN",
        "MASTERDOWN",
        "NOREPLICAS",
        "BUSY",
        "NOAUTH",
        "NOPERM",
        "TRYAGAIN",
        "WRONGPASS",
        "Client is not initialized",
        "Failed to",
    ];
    unfit.iter().any(|prefix| reply.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_of_itself_is_told_from_what_it_says_of_the_question() {
        let of = |kind, reply: &'static str| RedisError::of(Error::new(kind, reply), Duration::ZERO);
        assert!(of(ErrorKind::Unknown, "OOM command not allowed when used memory > 'maxmemory'").is_down());
        assert!(of(ErrorKind::IO, "Connection refused").is_down());
        assert!(of(ErrorKind::Timeout, "Request timed out.").is_down());
        let wrong = of(ErrorKind::InvalidArgument, "WRONGTYPE Operation against a key");
        assert!(!wrong.is_down(), "{wrong}");
    }
}
