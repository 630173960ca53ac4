//! The revision: one row, raised by every write that replicas have to learn of.

use super::macros::{read, statements};
use super::{Store, StoreError};

statements! {
    /// Taken first in a transaction, it puts these writes in one order.
    RAISE = "UPDATE revision SET value = value + 1 WHERE id = 1 RETURNING value";
    /// Waits for its turn among them without raising it.
    QUEUE = "UPDATE revision SET value = value WHERE id = 1";
    CURRENT = "SELECT value FROM revision WHERE id = 1";
}

impl Store {
    /// The current revision.
    pub async fn revision(&self) -> Result<u64, StoreError> {
        let value: i64 = read!(self, |tx| Ok(sqlx::query_scalar(CURRENT).fetch_one(&mut *tx).await?))?;
        Ok(value.cast_unsigned())
    }
}
