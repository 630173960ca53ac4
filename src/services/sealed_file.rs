//! A file that is replaced as a whole and sealed under the key ring: what a process keeps for a start while what it came from
//! is away. Sealed, it can be neither read nor forged by who can only reach the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::identity::envelope::{self, OpenError, Sealed};
use crate::identity::ring::KeyRing;

/// Why what lies there is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// It cannot be read from disk.
    #[error("it cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// It is no file of this version of Levee.
    #[error("it is damaged or was written by another version")]
    Foreign,
    /// It cannot be opened.
    #[error("{0}")]
    Sealed(#[from] OpenError),
}

/// What tells one kind of file from another.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The file's name.
    pub name: &'static str,
    /// The first line, for people; what follows is the key's id on a line, and the sealed bytes.
    pub magic: &'static str,
    /// What the bytes are sealed as: a file of another kind does not open.
    pub field: &'static str,
}

/// One such file.
#[derive(Clone)]
pub struct SealedFile {
    folder: PathBuf,
    form: Form,
    ring: KeyRing,
}

impl SealedFile {
    /// In `folder`, which is made when something is written.
    pub fn new(folder: PathBuf, form: Form, ring: KeyRing) -> Self {
        Self { folder, form, ring }
    }

    /// Where it lies, for messages.
    pub fn path(&self) -> PathBuf {
        self.folder.join(self.form.name)
    }

    /// What was written last; none when nothing ever was.
    pub fn read(&self) -> Result<Option<Vec<u8>>, KeptError> {
        let bytes = match fs::read(self.path()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let rest = bytes.strip_prefix(self.form.magic.as_bytes()).ok_or(KeptError::Foreign)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(KeptError::Foreign)?;
        let kid = std::str::from_utf8(&rest[..end]).map_err(|_| KeptError::Foreign)?;
        let sealed = Sealed { kid: kid.to_owned(), bytes: rest[end + 1..].to_vec() };
        Ok(Some(envelope::open_bytes(&self.ring, self.form.field, &sealed)?))
    }

    /// Replaces it in one step: whoever reads finds the one or the other.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let sealed = envelope::seal_bytes(&self.ring, self.form.field, bytes);
        // A name of its own: others may write the same folder, and what lies there may be a link to elsewhere.
        let fresh = self.folder.join(format!(".{}.{:016x}", self.form.name, fastrand::u64(..)));
        let written = self.write_through(&fresh, &sealed).and_then(|()| fs::rename(&fresh, self.path()));
        if written.is_err() {
            // It may not have come into being at all.
            let _ = fs::remove_file(&fresh);
        }
        written?;
        File::open(&self.folder)?.sync_all()
    }

    fn write_through(&self, file: &Path, sealed: &Sealed) -> io::Result<()> {
        let mut fresh = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        fresh.write_all(self.form.magic.as_bytes())?;
        fresh.write_all(sealed.kid.as_bytes())?;
        fresh.write_all(b"\n")?;
        fresh.write_all(&sealed.bytes)?;
        fresh.sync_all()
    }
}
