//! Upstreams from files: read, checked as a whole, watched for edits.
//!
//! A file's fallbacks lead to files only, so that files can be judged wherever they are. Watching is by asking for the
//! files' state a few times a second, which also sees the symbolic links that Kubernetes swaps under a mounted ConfigMap.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::models::document::{self, Rules};
use crate::models::fault::Fault;
use crate::models::policy::Upstream;
use crate::telemetry::metrics::Metrics;

/// Where upstream documents come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// There are no files.
    Nothing,
    /// A file, or a folder whose `.yaml` and `.yml` files are read in the order of their names.
    Path(PathBuf),
    /// A text that is part of the program.
    Text {
        /// What messages call it.
        name: &'static str,
        /// The documents.
        text: &'static str,
    },
}

/// Most files of one folder.
const MOST_FILES: usize = 10_000;

/// Reads every document of a source and checks them together.
pub fn read(source: &Source, rules: &Rules) -> Result<Vec<Upstream>, Vec<Fault>> {
    match source {
        Source::Nothing => Ok(Vec::new()),
        Source::Text { name, text } => read_all([((*name).to_owned(), Ok((*text).to_owned()))], rules),
        Source::Path(path) => read_paths(std::slice::from_ref(path), rules),
    }
}

/// Reads files and folders named together as one set.
pub fn read_paths(paths: &[PathBuf], rules: &Rules) -> Result<Vec<Upstream>, Vec<Fault>> {
    let mut texts = Vec::new();
    for path in paths {
        match files(path) {
            Ok(files) => texts.extend(
                files.into_iter().map(|file| (file.display().to_string(), std::fs::read_to_string(&file))),
            ),
            Err(error) => texts.push((path.display().to_string(), Err(error))),
        }
    }
    read_all(texts, rules)
}

fn read_all(
    texts: impl IntoIterator<Item = (String, std::io::Result<String>)>,
    rules: &Rules,
) -> Result<Vec<Upstream>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut upstreams = Vec::new();
    for (name, text) in texts {
        match text {
            Ok(text) => upstreams.extend(document::read_documents(&name, &text, rules, &mut faults)),
            Err(error) => faults.push(unreadable(name, &error)),
        }
    }
    document::check_together(&upstreams, &mut faults);
    if faults.is_empty() { Ok(upstreams) } else { Err(faults) }
}

fn unreadable(file: String, error: &std::io::Error) -> Fault {
    Fault {
        file,
        line: 1,
        upstream: None,
        field: "file".to_owned(),
        reason: format!("cannot be read: {error}"),
    }
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden {
            files.push(file);
        }
        if files.len() > MOST_FILES {
            return Err(std::io::Error::other(format!("more than {MOST_FILES} files")));
        }
    }
    files.sort();
    Ok(files)
}

/// What is wrong with the watched files now, while the last good set is in force; clones share it.
#[derive(Debug, Clone, Default)]
pub struct FileFaults(Arc<Mutex<Vec<String>>>);

impl FileFaults {
    /// A line for each fault; none when the files are good.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

/// The watched source.
pub struct UpstreamFiles {
    source: Source,
    rules: Rules,
    faults: FileFaults,
    metrics: Arc<Metrics>,
    /// The files' state when they were last read.
    seen: Mutex<FilesState>,
}

impl UpstreamFiles {
    /// Over one source; nothing is read yet.
    pub fn new(source: Source, rules: Rules, faults: FileFaults, metrics: Arc<Metrics>) -> Self {
        Self { source, rules, faults, metrics, seen: Mutex::default() }
    }

    /// Reads the source, or says everything that is wrong with it.
    pub fn read(&self) -> Result<Vec<Upstream>, Vec<String>> {
        // Before reading: an edit during the reading is then seen as a change by the next look.
        *self.seen.lock() = state(&self.source);
        read(&self.source, &self.rules)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// Whether it is another one than was last read.
    pub fn changed(&self) -> bool {
        state(&self.source) != *self.seen.lock()
    }

    /// What documents may do.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What was read took effect.
    pub(super) fn accepted(&self) {
        self.metrics.upstream_files_accepted();
        self.faults.0.lock().clear();
    }

    /// What was read does not take effect.
    pub(super) fn refused(&self, faults: &[String]) {
        self.metrics.upstream_files_refused();
        self.faults.0.lock().clone_from(&faults.to_vec());
    }
}

/// What tells one version of the files from the next.
type FilesState = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

fn state(source: &Source) -> FilesState {
    let Source::Path(path) = source else { return FilesState::new() };
    let one = |file: PathBuf| {
        let metadata = std::fs::metadata(&file).ok();
        let stamp = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        (file, stamp)
    };
    files(path).map_or_else(|_| vec![one(path.clone())], |files| files.into_iter().map(one).collect())
}
