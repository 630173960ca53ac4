//! Everything the data plane needs, read as one state.

use super::{Store, StoreError};
use crate::models::registration::Stored;

impl Store {
    /// Reads all of it in one read-only transaction (repeatable read). Overrides and keys that have expired are left out.
    pub async fn stored(&self) -> Result<Stored, StoreError> {
        todo!()
    }
}
