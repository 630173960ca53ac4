//! The cache key: what two requests must have in common to share an answer.
//!
//! `operation | method (HEAD as GET) | rules of sharing | scheme | host:port | path | query | partition | request headers`. Every
//! request header joins but those on a short harmless list: an unnamed `X-Tenant` must never be an input that the
//! key does not see. The hash has a secret that replicas share; the text stands beside it and is compared. What leaves the
//! process is a proof of the text: it may hold credentials.

use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use xxhash_rust::xxh3::{xxh3_64_with_secret, xxh3_128_with_secret};

use super::fingerprint;
use super::position::Moment;
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
    /// Where the path stands in the text.
    pub(super) path: (u32, u32),
    /// The purges known when the request looked: an answer whose exchange began with fewer is too old for it.
    pub(super) began: Moment,
}

impl Key {
    /// A variant was looked for, the resource itself being known (`vary-miss` rather than `uri-miss`).
    pub fn is_variant(&self) -> bool {
        self.primary < self.text.len()
    }

    /// The path as it went to the upstream, without its query.
    pub(super) fn path(&self) -> &Path {
        let (start, end) = self.path;
        Path::new(OsStr::from_bytes(&self.text[start as usize..end as usize]))
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

/// Makes keys and hashes with a secret.
pub(super) struct Keyer {
    secret: [u8; 192],
    proving: hmac::Key,
    partitions: u64,
}

impl Keyer {
    /// Stretches the secret that replicas share to what hashes and proofs need.
    pub(super) fn new(shared: &[u8; 32]) -> Self {
        let derived = |purpose: &[u8]| digest::digest(&SHA256, &[shared, purpose].concat());
        let mut secret = [0; 192];
        for (place, chunk) in secret.chunks_exact_mut(32).enumerate() {
            chunk.copy_from_slice(derived(&[b'k', place as u8]).as_ref());
        }
        let proving = hmac::Key::new(hmac::HMAC_SHA256, derived(b"proof").as_ref());
        let seed = derived(b"partitions");
        let partitions = seed.as_ref().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        Self { secret, proving, partitions }
    }

    /// The seed of partitions: as secret as the keys, the same on every replica.
    pub(super) fn partition_seed(&self) -> u64 {
        self.partitions
    }

    /// Proves to whoever has the secret which key a value outside this process belongs to. The text itself stays: it
    /// holds what callers sent.
    pub(super) fn proof(&self, text: &[u8]) -> [u8; 32] {
        let mut proof = [0; 32];
        proof.copy_from_slice(hmac::sign(&self.proving, text).as_ref());
        proof
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
        push_uri(&mut text, request.scheme(), request.host, request.port, request.path);
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
    pub(super) fn finish(&self, draft: Draft, began: Moment) -> Key {
        let place = draft.uri;
        let uri = self.path(&draft.text[place.clone()]);
        // The last of its lines.
        let before = draft.text[place.clone()].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let path = ((place.start + before) as u32, place.end as u32);
        Key { hash: draft.hash, text: draft.text.into(), primary: draft.primary, uri, path, began }
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

    /// What purges of a path go by, given as [`path_text`] has it.
    pub(super) fn path(&self, text: &[u8]) -> u64 {
        xxh3_64_with_secret(text, &self.secret)
    }

    /// What purges of a tag go by.
    pub(super) fn tag(&self, upstream: &str, tag: &[u8]) -> u64 {
        xxh3_64_with_secret(&[b"tag\n", upstream.as_bytes(), b"\n", tag].concat(), &self.secret)
    }

    /// What purges of an upstream go by.
    pub(super) fn upstream(&self, name: &str) -> u64 {
        xxh3_64_with_secret(&[b"upstream\n", name.as_bytes()].concat(), &self.secret)
    }
}

impl RequestView<'_> {
    pub(super) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// The upstream's name: what stands before the operation's.
    pub(super) fn upstream(&self) -> &str {
        self.operation.split('/').next().unwrap_or_default()
    }
}

/// A path on an origin as purges name it.
pub(super) fn path_text(scheme: &str, host: &str, port: u16, path: &str) -> String {
    let mut text = Vec::with_capacity(128);
    push_uri(&mut text, scheme, host, port, path);
    String::from_utf8_lossy(&text).into_owned()
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
fn push_uri(text: &mut Vec<u8>, scheme: &str, host: &str, port: u16, path: &str) {
    text.extend_from_slice(scheme.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(host.as_bytes());
    text.push(b':');
    for place in [10_000, 1_000, 100, 10, 1] {
        text.push(b'0' + (port / place % 10) as u8);
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
