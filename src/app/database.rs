//! The database at the start: waited for, and judged before anything relies on it.

use std::time::Duration;

use crate::config::Mode;
use crate::repositories::{SchemaError, Store, StoreError};

/// How long between two tries to reach it.
const AGAIN: Duration = Duration::from_secs(1);

/// Ends when the database answers and its schema is one this version works with. In `dev` the schema is brought up to
/// date; in production that is `levee migrate`'s, so that nobody's start changes what others stand on.
pub(super) async fn make_ready(store: &Store, mode: Mode) -> Result<(), SchemaError> {
    let mut said = false;
    loop {
        let looked = match mode {
            Mode::Dev => store.migrate().await.map(|_| ()),
            Mode::Serve => store.check_schema().await,
        };
        match looked {
            Err(SchemaError::Store(StoreError::Unavailable(error))) => {
                if !said {
                    tracing::warn!(%error, "the database cannot be reached; not ready before it can");
                }
                said = true;
            }
            done => return done,
        }
        tokio::time::sleep(AGAIN).await;
    }
}
