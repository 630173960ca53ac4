//! How the process that ran here before ended, as it wrote down itself: what nobody could scrape any more, the next one
//! tells.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::telemetry::metrics::PreviousStop;

/// In `LEVEE_SNAPSHOT_DIR`: the one folder of ours that outlives the process.
const FILE: &str = "levee-last-stop";

const RUNNING: &str = "running\n";
const CLEAN: &str = "clean\n";
const CUT: &str = "cut\n";

/// The note this process leaves. It is locked while the process lives, so that of several in one folder only the first
/// writes.
pub(super) struct StopNote {
    file: Option<File>,
}

impl StopNote {
    /// Reads how the last one ended. Nothing is known without a folder, or while another process uses it.
    pub(super) fn open(folder: Option<&Path>) -> (Self, PreviousStop) {
        let opened = folder.map(open_and_read).transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "how the last process ended cannot be read");
            None
        });
        let Some((file, text)) = opened else { return (Self { file: None }, PreviousStop::Unknown) };
        let previous = match text.as_str() {
            CLEAN => PreviousStop::Clean,
            CUT => PreviousStop::Cut,
            RUNNING => PreviousStop::Killed,
            _ => PreviousStop::Unknown,
        };
        match previous {
            PreviousStop::Killed => tracing::warn!("the process before this one was killed, or crashed"),
            PreviousStop::Cut => {
                tracing::warn!("the drain of the process before this one overran: calls were cut");
            }
            PreviousStop::Clean | PreviousStop::Unknown => {}
        }
        (Self { file: Some(file) }, previous)
    }

    /// This process serves: should it end now, it was killed.
    pub(super) fn running(&mut self) {
        self.write(RUNNING);
    }

    /// It ends in order, and nothing was cut.
    pub(super) fn clean(&mut self) {
        self.write(CLEAN);
    }

    /// It ends in order, but calls were cut.
    pub(super) fn cut(&mut self) {
        self.write(CUT);
    }

    fn write(&mut self, text: &str) {
        let Some(file) = &mut self.file else { return };
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        if let Err(error) = written.and_then(|()| file.sync_all()) {
            tracing::warn!(%error, "how this process ends cannot be written down");
        }
    }
}

fn open_and_read(folder: &Path) -> io::Result<(File, String)> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(folder.join(FILE))?;
    file.try_lock()?;
    let mut text = String::new();
    Read::by_ref(&mut file).take(64).read_to_string(&mut text)?;
    Ok((file, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_learns_how_the_last_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state");
        let next = || StopNote::open(Some(&place));
        let (mut first, known) = next();
        assert_eq!(known, PreviousStop::Unknown);
        first.running();
        drop(first);
        let (mut second, known) = next();
        assert_eq!(known, PreviousStop::Killed);
        second.running();
        second.cut();
        drop(second);
        let (mut third, known) = next();
        assert_eq!(known, PreviousStop::Cut);
        third.running();
        third.clean();
        drop(third);
        assert_eq!(next().1, PreviousStop::Clean);
    }

    #[test]
    fn a_second_process_in_the_folder_neither_reads_nor_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (mut first, _) = StopNote::open(Some(folder.path()));
        first.running();
        let (mut second, known) = StopNote::open(Some(folder.path()));
        assert_eq!(known, PreviousStop::Unknown);
        second.clean();
        drop((first, second));
        assert_eq!(StopNote::open(Some(folder.path())).1, PreviousStop::Killed);
    }

    #[test]
    fn without_a_folder_nothing_is_known() {
        assert_eq!(StopNote::open(None).1, PreviousStop::Unknown);
    }
}
