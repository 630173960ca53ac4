//! The one door out: merges the sources (custom resource > file > API) and publishes what calls read.

/// Publishes what is stored.
pub struct Publisher {}

impl Publisher {
    /// Ends when this replica runs at least `revision`, after having asked the database for it at once. It waits at
    /// most a second: the write it belongs to is done whatever comes of this.
    pub async fn reached(&self, revision: u64) {
        todo!()
    }
}
