//! The last good state on disk, for a start while the database is away. It holds hashes of keys and sealed secrets, so
//! it is sealed as a whole, under the key ring.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{KeptResource, Published};
use crate::identity::envelope::{self, OpenError, Sealed};
use crate::identity::ring::KeyRing;
use crate::models::registration::Stored;

/// What the sealed bytes say.
mod format;

const FILE: &str = "levee-snapshot";

/// The first line, for people; what follows is the key's id on a line, and the sealed bytes.
const MAGIC: &[u8] = b"levee snapshot 1\n";

/// What the sealed bytes are sealed as.
const FIELD: &str = "snapshot";

/// Why what lies there is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It cannot be read from disk.
    #[error("it cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// It is no snapshot of this version of Levee.
    #[error("it is damaged or was written by another version")]
    Foreign,
    /// It cannot be opened.
    #[error("{0}")]
    Sealed(#[from] OpenError),
}

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
pub struct KeptState {
    folder: PathBuf,
    ring: KeyRing,
}

impl KeptState {
    /// In `folder`, which is made when something is written.
    pub fn new(folder: PathBuf, ring: KeyRing) -> Self {
        Self { folder, ring }
    }

    /// The file, for messages.
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// What was kept last; none when nothing ever was.
    pub fn read(&self) -> Result<Option<Kept>, KeptError> {
        let bytes = match fs::read(self.file()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let rest = bytes.strip_prefix(MAGIC).ok_or(KeptError::Foreign)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(KeptError::Foreign)?;
        let kid = std::str::from_utf8(&rest[..end]).map_err(|_| KeptError::Foreign)?;
        let sealed = Sealed { kid: kid.to_owned(), bytes: rest[end + 1..].to_vec() };
        let text = envelope::open_bytes(&self.ring, FIELD, &sealed)?;
        format::read(&text).map(Some).ok_or(KeptError::Foreign)
    }

    /// Replaces what was kept, in one step: whoever reads finds the one or the other.
    pub fn write(&self, kept: &Kept) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let sealed = envelope::seal_bytes(&self.ring, FIELD, &format::write(kept));
        let fresh = self.folder.join(format!(".{FILE}.{}", std::process::id()));
        let written = write_through(&fresh, &sealed).and_then(|()| fs::rename(&fresh, self.file()));
        if written.is_err() {
            // It may not have come into being at all.
            let _ = fs::remove_file(&fresh);
        }
        written?;
        File::open(&self.folder)?.sync_all()
    }
}

fn write_through(file: &Path, sealed: &Sealed) -> io::Result<()> {
    let mut fresh = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    fresh.write_all(MAGIC)?;
    fresh.write_all(sealed.kid.as_bytes())?;
    fresh.write_all(b"\n")?;
    fresh.write_all(&sealed.bytes)?;
    fresh.sync_all()
}

#[cfg(test)]
mod tests;
