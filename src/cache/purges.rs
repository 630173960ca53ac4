//! Which stored answers an unsafe request has made worthless (RFC 9111 section 4.4).
//!
//! Every purge gets the next number and marks a path; an answer is valid unless its path was marked after its
//! exchange began. So a purge that races a fetch wins: what the fetch brings is judged when it is read. The marks
//! are bounded: when there are too many, everything older is purged instead.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, StatusCode, Uri, header};
use parking_lot::Mutex;

use super::entry::Entry;
use super::key::RequestView;

/// Paths marked one by one.
const MOST_MARKS: usize = 10_000;

/// The marks of all purges so far.
#[derive(Debug, Default)]
pub(super) struct Purges {
    latest: AtomicU64,
    /// Exchanges that began before this purge are all outdated.
    floor: AtomicU64,
    marks: Mutex<HashMap<u64, u64>>,
}

impl Purges {
    /// The number of the latest purge.
    pub(super) fn latest(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    /// Marks paths, by the hashes keys have of them.
    pub(super) fn add(&self, uris: &[u64]) {
        let mut marks = self.marks.lock();
        let number = self.latest.load(Ordering::Relaxed) + 1;
        if marks.len() + uris.len() > MOST_MARKS {
            marks.clear();
            self.floor.store(number, Ordering::Relaxed);
        }
        marks.extend(uris.iter().map(|uri| (*uri, number)));
        // Published last and under the lock: whoever sees the number and asks for the marks sees these too.
        self.latest.store(number, Ordering::Release);
    }

    /// Whether an answer has outlived all purges. One atomic is compared unless there was a purge since the last
    /// time.
    pub(super) fn spare(&self, entry: &Entry) -> bool {
        let latest = self.latest();
        if entry.checked.load(Ordering::Relaxed) == latest {
            return true;
        }
        let spared = self.is_current(entry.key.uri, entry.key.began);
        if spared {
            entry.checked.store(latest, Ordering::Relaxed);
        }
        spared
    }

    /// Whether no purge of the path came after the one given.
    pub(super) fn is_current(&self, uri: u64, began: u64) -> bool {
        let marks = self.marks.lock();
        began >= self.floor.load(Ordering::Relaxed) && marks.get(&uri).is_none_or(|purge| *purge <= began)
    }
}

/// The paths that a successful answer to an unsafe request makes worthless: its own, and those of `Location` and
/// `Content-Location` on the same origin. Empty for other requests and answers.
pub(super) fn outdated_paths(
    request: &RequestView<'_>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Vec<String> {
    if request.method.is_safe() || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let named = [header::LOCATION, header::CONTENT_LOCATION]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| same_origin_path(request, value.to_str().ok()?.trim()));
    std::iter::once(request.path.to_owned()).chain(named).collect()
}

/// The path of a reference resolved against the request (RFC 3986 section 5.2), if it is on its origin.
fn same_origin_path(request: &RequestView<'_>, reference: &str) -> Option<String> {
    let reference = reference.split(['?', '#']).next()?;
    let scheme = if request.https { "https" } else { "http" };
    if let Some(rest) = reference.strip_prefix("//") {
        return same_origin_path(request, &format!("{scheme}://{rest}"));
    }
    if reference.starts_with('/') {
        return Some(without_dots(reference));
    }
    if !reference.contains("://") {
        let base = &request.path[..=request.path.rfind('/')?];
        return Some(if reference.is_empty() {
            request.path.to_owned()
        } else {
            without_dots(&format!("{base}{reference}"))
        });
    }
    let uri: Uri = reference.parse().ok()?;
    let default = if request.https { 443 } else { 80 };
    let same = uri.scheme_str() == Some(scheme)
        && uri.host()?.trim_matches(['[', ']']).eq_ignore_ascii_case(request.host)
        && uri.port_u16().unwrap_or(default) == request.port;
    same.then(|| without_dots(uri.path()))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;
