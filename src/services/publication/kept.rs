//! The last good state on disk, for a start while the database is away. It holds hashes of keys and sealed secrets, so
//! it is sealed as a whole, under the key ring.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{KeptResource, Published};
use crate::identity::ring::KeyRing;
use crate::models::registration::Stored;
use crate::services::sealed_file::{Form, KeptError, SealedFile};

/// What the sealed bytes say.
mod format;

const FORM: Form = Form { name: "levee-snapshot", magic: "levee snapshot 1\n", field: "snapshot" };

/// What is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What the database said.
    pub stored: Arc<Stored>,
    /// What the cluster said; none where no cluster is asked.
    pub resources: Option<Arc<Vec<KeptResource>>>,
}

impl Kept {
    pub(super) fn of(published: &Published) -> Self {
        Self { stored: Arc::clone(&published.stored), resources: published.resources.clone() }
    }

    pub(super) fn is_of(&self, published: &Published) -> bool {
        self.stored.revision == published.stored.revision && self.resources == published.resources
    }
}

/// The folder it is kept in.
pub struct KeptState(SealedFile);

impl KeptState {
    /// In `folder`, which is made when something is written.
    pub fn new(folder: PathBuf, ring: KeyRing) -> Self {
        Self(SealedFile::new(folder, FORM, ring))
    }

    /// The file, for messages.
    pub fn file(&self) -> PathBuf {
        self.0.path()
    }

    /// What was kept last; none when nothing ever was.
    pub fn read(&self) -> Result<Option<Kept>, KeptError> {
        let Some(text) = self.0.read()? else { return Ok(None) };
        format::read(&text).map(Some).ok_or(KeptError::Foreign)
    }

    /// Replaces what was kept, in one step: whoever reads finds the one or the other.
    pub fn write(&self, kept: &Kept) -> io::Result<()> {
        self.0.write(&format::write(kept))
    }
}

#[cfg(test)]
mod tests;
