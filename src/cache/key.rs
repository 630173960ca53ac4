//! The cache key: what two requests must have in common to share an answer.
//!
//! `operation | method (HEAD as GET) | rules of sharing | scheme | host:port | path | query | partition | request headers`. Every
//! request header joins but those on a short harmless list: an unnamed `X-Tenant` must never be an input that the
//! key does not see. The hash has a secret of this process; the text stands beside it and is compared.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use xxhash_rust::xxh3::{xxh3_64_with_secret, xxh3_128_with_secret};

use super::fingerprint;
use crate::models::policy;

/// A request as it will go to the upstream: after hygiene and the policy's header rules, before credentials are
/// injected.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// Its method.
    pub method: &'a Method,
    /// End-to-end headers.
    pub headers: &'a HeaderMap,
    /// `https` rather than `http`.
    pub https: bool,
    /// Upstream host, lower case.
    pub host: &'a str,
    /// Upstream port.
    pub port: u16,
    /// Path at the upstream, as sent.
    pub path: &'a str,
    /// Query as sent, without `?`.
    pub query: Option<&'a str>,
    /// Upstream and operation whose policy applies, such as `rates/quote`.
    pub operation: &'a str,
    /// Who may share the answer.
    pub partition: Partition,
    /// A body comes with it.
    pub has_body: bool,
}

/// Who may share a stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// All callers: there is no credential, or the policy says `shared`. The rules of a shared cache apply.
    Shared,
    /// Only whoever presents the same credentials, given as a keyed hash of them (of the principal too, where
    /// there is one). `private` answers and answers to `Authorization` may be stored here.
    Private(u128),
}

/// The identity of a stored answer, cheap to clone. Equal keys may share a flight.
#[derive(Clone)]
pub struct Key {
    pub(super) hash: u128,
    pub(super) text: Arc<[u8]>,
    /// The text up to here is the primary key, the rest what `Vary` selects.
    pub(super) primary: usize,
    pub(super) uri: u64,
    /// The purges known when the request looked: an answer whose exchange began with fewer is too old for it.
    pub(super) began: u64,
}

impl Key {
    /// A variant was looked for, the resource itself being known (`vary-miss` rather than `uri-miss`).
    pub fn is_variant(&self) -> bool {
        self.primary < self.text.len()
    }

    /// The upstream and operation it is of, as the request's view named them.
    pub(super) fn operation(&self) -> Option<&str> {
        std::str::from_utf8(self.text.split(|byte| *byte == b'\n').next()?).ok()
    }

    pub(super) fn primary_text(&self) -> &[u8] {
        &self.text[..self.primary]
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.hash);
    }
}

impl std::fmt::Debug for Key {
    /// The text may hold credentials, so only the hash shows.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Key({:032x})", self.hash)
    }
}

/// A key under construction: one buffer, no shared allocation until it is needed.
pub(super) struct Draft {
    pub(super) hash: u128,
    pub(super) text: Vec<u8>,
    primary: usize,
    uri: Range<usize>,
}

/// Makes keys with this process's secret.
pub(super) struct Keyer {
    secret: [u8; 192],
}

impl Keyer {
    /// Draws the secret from the system's randomness, which `RandomState` is seeded with.
    pub(super) fn new() -> Self {
        let (random, mut secret) = (RandomState::new(), [0; 192]);
        for (place, chunk) in secret.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&random.hash_one(place).to_ne_bytes());
        }
        Self { secret }
    }

    /// The primary key of a request.
    pub(super) fn draft(&self, request: &RequestView<'_>, policy: &policy::Cache) -> Draft {
        let mut text = Vec::with_capacity(384);
        text.extend_from_slice(request.operation.as_bytes());
        text.extend_from_slice(b"\nGET");
        if let Some(rules) = fingerprint::sharing(policy) {
            text.push(b' ');
            text.extend_from_slice(format!("{rules:016x}").as_bytes());
        }
        text.push(b'\n');
        let start = text.len();
        push_uri(&mut text, request, request.path);
        let uri = start..text.len();
        push_query(&mut text, request.query, policy);
        match request.partition {
            Partition::Shared => text.extend_from_slice(b"\ns"),
            Partition::Private(whose) => {
                text.extend_from_slice(b"\np");
                text.extend_from_slice(&whose.to_ne_bytes());
            }
        }
        push_joining(&mut text, request, policy);
        Draft { hash: self.hash(&text), primary: text.len(), text, uri }
    }

    /// Adds the request's values of `names` (sorted) as the secondary key (RFC 9111 section 4.1).
    pub(super) fn select(&self, draft: &mut Draft, names: &[HeaderName], headers: &HeaderMap) {
        push_selection(&mut draft.text, names, headers);
        draft.hash = self.hash(&draft.text);
    }

    /// Fixes a draft.
    pub(super) fn finish(&self, draft: Draft, began: u64) -> Key {
        let uri = self.hash_uri(&draft.text[draft.uri]);
        Key { hash: draft.hash, text: draft.text.into(), primary: draft.primary, uri, began }
    }

    /// The key of the same resource for another selection.
    pub(super) fn reselect(&self, key: &Key, names: &[HeaderName], headers: &HeaderMap) -> Key {
        let mut text = key.primary_text().to_vec();
        if !names.is_empty() {
            push_selection(&mut text, names, headers);
        }
        Key { hash: self.hash(&text), text: text.into(), ..key.clone() }
    }

    /// The hash of a primary key.
    pub(super) fn hash(&self, text: &[u8]) -> u128 {
        xxh3_128_with_secret(text, &self.secret)
    }

    /// What purges of `path` on the request's origin go by.
    pub(super) fn uri(&self, request: &RequestView<'_>, path: &str) -> u64 {
        let mut text = Vec::with_capacity(128);
        push_uri(&mut text, request, path);
        self.hash_uri(&text)
    }

    fn hash_uri(&self, text: &[u8]) -> u64 {
        xxh3_64_with_secret(text, &self.secret)
    }
}

/// Whether a request header is part of every primary key; what is not can still be named by `Vary`.
pub(super) fn joins(name: &HeaderName, partition: Partition, policy: &policy::Cache) -> bool {
    if policy.vary.contains(name) {
        return true;
    }
    match partition {
        // `shared` means one copy for all who are let in; RFC 9111 section 3.5 guards what gets stored.
        Partition::Shared if name == header::AUTHORIZATION => false,
        _ => !is_harmless(name.as_str()),
    }
}

/// Headers that name the exchange or its sender rather than the representation wanted, or that the cache itself
/// obeys. An upstream that selects by one of them must say so in `Vary`.
fn is_harmless(name: &str) -> bool {
    match name.len() {
        2 => name == "te",
        3 => name == "via",
        4 => matches!(name, "host" | "date"),
        6 => matches!(name, "pragma" | "expect"),
        7 => matches!(name, "upgrade" | "trailer"),
        8 => name == "priority",
        10 => matches!(name, "connection" | "user-agent" | "keep-alive" | "tracestate"),
        11 => name == "traceparent",
        12 => matches!(name, "x-request-id" | "max-forwards"),
        13 => matches!(name, "cache-control" | "if-none-match"),
        14 => name == "content-length",
        15 => matches!(name, "idempotency-key" | "x-amzn-trace-id"),
        16 => matches!(name, "proxy-connection" | "x-correlation-id"),
        17 => matches!(name, "if-modified-since" | "transfer-encoding"),
        _ => false,
    }
}

/// Newlines separate the pieces: they cannot occur in a path, a query or a header value.
fn push_uri(text: &mut Vec<u8>, request: &RequestView<'_>, path: &str) {
    text.extend_from_slice(if request.https { b"https\n" } else { b"http\n" });
    text.extend_from_slice(request.host.as_bytes());
    text.push(b':');
    for place in [10_000, 1_000, 100, 10, 1] {
        text.push(b'0' + (request.port / place % 10) as u8);
    }
    text.push(b'\n');
    text.extend_from_slice(path.as_bytes());
}

fn push_query(text: &mut Vec<u8>, query: Option<&str>, policy: &policy::Cache) {
    let Some(query) = query else { return };
    if policy.query_ignore.is_empty() && !policy.query_sort {
        text.push(b'?');
        return text.extend_from_slice(query.as_bytes());
    }
    let name = |pair: &&str| pair.split('=').next().unwrap_or_default().to_owned();
    let mut pairs: Vec<&str> =
        query.split('&').filter(|pair| !policy.query_ignore.contains(&name(pair))).collect();
    if policy.query_sort {
        pairs.sort_by_key(name);
    }
    for (place, pair) in pairs.iter().enumerate() {
        text.push(if place == 0 { b'?' } else { b'&' });
        text.extend_from_slice(pair.as_bytes());
    }
}

/// Header by header in the order of their names, whatever order they came in.
fn push_joining(text: &mut Vec<u8>, request: &RequestView<'_>, policy: &policy::Cache) {
    let mut names: Vec<&HeaderName> =
        request.headers.keys().filter(|name| joins(name, request.partition, policy)).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    for name in names {
        push_field(text, name, request.headers);
    }
}

/// A NUL cannot occur before it but inside the partition, whose length is fixed: no primary key can look like
/// this one's continuation.
fn push_selection(text: &mut Vec<u8>, names: &[HeaderName], headers: &HeaderMap) {
    text.push(0);
    for name in names {
        push_field(text, name, headers);
    }
}

fn push_field(text: &mut Vec<u8>, name: &HeaderName, headers: &HeaderMap) {
    text.push(b'\n');
    text.extend_from_slice(name.as_str().as_bytes());
    for (place, value) in headers.get_all(name).iter().enumerate() {
        text.push(if place == 0 { b':' } else { b',' });
        push_value(text, name, value);
    }
}

/// White space round commas means nothing in a list (RFC 9110 section 5.6.1), case nothing in what is negotiated,
/// order nothing in languages; a quoted string is left alone.
fn push_value(text: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let (bytes, start) = (value.as_bytes(), text.len());
    if bytes.contains(&b'"') {
        text.extend_from_slice(bytes);
    } else if name == header::ACCEPT_LANGUAGE {
        let mut languages: Vec<&[u8]> = members(bytes).collect();
        languages.sort_unstable_by_key(|language| language.to_ascii_lowercase());
        push_members(text, languages.into_iter());
    } else {
        push_members(text, members(bytes));
    }
    if [header::ACCEPT_LANGUAGE, header::ACCEPT_ENCODING, header::ACCEPT_CHARSET].contains(name) {
        text[start..].make_ascii_lowercase();
    }
}

fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn push_members<'a>(text: &mut Vec<u8>, members: impl Iterator<Item = &'a [u8]>) {
    for (place, member) in members.enumerate() {
        if place > 0 {
            text.push(b',');
        }
        text.extend_from_slice(member);
    }
}

#[cfg(test)]
mod tests;
