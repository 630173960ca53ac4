//! A value in Redis: an answer, or what stands in an answer's place, in a form that other versions can tell from their
//! own. It holds no request header.
//!
//! `LVC`, format, kind, proof of the key · the kind's own fields · checksum. Numbers are little-endian, durations
//! milliseconds. Whatever is not read to the last byte is no value.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::entry::Entry;
use super::key::Key;
use super::position::{LogId, Origin, Position};
use super::storable::Terms;
use super::tags::Tags;

/// Reading and writing its fields.
mod fields;

use fields::{Fields, Writer};

const MAGIC: &[u8; 3] = b"LVC";
/// The only format so far.
const FORMAT: u8 = 1;
const ANSWER: u8 = 1;
const VARIANTS: u8 = 2;
const HIT_FOR_MISS: u8 = 3;

/// Shorter bodies are not worth compressing.
const WORTH_COMPRESSING: usize = 1024;
const LEVEL: i32 = 1;

/// A clock that is further ahead of ours than this cannot be reckoned with.
const CLOCKS_APART: Duration = Duration::from_secs(5);

/// Why bytes are no value for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// Another format, or none of ours.
    Unknown,
    /// Cut short, changed, or telling nonsense.
    Corrupt,
    /// The value of another key with the same hash, or made with another secret.
    Foreign,
    /// Made at a time that has not come yet.
    Ahead,
}

/// What a value says.
#[derive(Debug)]
pub(super) enum Value {
    /// An answer, and how old it was when it was read.
    Answer(Box<Answer>),
    /// The names of the headers that select among answers.
    Variants(Vec<HeaderName>),
    /// What is stored under this key cannot be.
    HitForMiss,
}

/// A stored answer on its way from one process to another.
#[derive(Debug)]
pub(super) struct Answer {
    at: Position,
    age: Duration,
    status: StatusCode,
    terms: Terms,
    due: Duration,
    names: Vec<HeaderName>,
    named_tags: Box<[u64]>,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The answer as this process keeps it, under the key that led to it.
    pub(super) fn into_entry(self, key: Key, upstream: u64, placed: u64, now: Instant) -> Entry {
        Entry {
            origin: Origin::Elsewhere { at: self.at, placed },
            tags: Tags { path: key.uri, upstream, named: self.named_tags },
            // Nothing it was judged by yet: no number is this one.
            checked: AtomicU64::new(u64::MAX),
            names: self.names,
            status: self.status,
            headers: self.headers,
            body: self.body,
            terms: self.terms,
            initial_age: self.age,
            received: now,
            due: self.due,
            tried: AtomicU64::new(0),
            key,
        }
    }

    pub(super) fn names(&self) -> &[HeaderName] {
        &self.names
    }
}

/// Writes an answer; `None` for one that another process could not judge.
pub(super) fn of_entry(entry: &Entry, proof: &[u8; 32], now: Instant, wall: SystemTime) -> Option<Bytes> {
    let Origin::Here(began) = entry.origin else { return None };
    let mut to = begin(ANSWER, proof);
    to.u64(since_epoch(wall));
    to.duration(entry.age(now));
    to.u64(began.at.epoch);
    to.u64(began.at.id.bits());
    to.u16(entry.status.as_u16());
    put_terms(&mut to, &entry.terms);
    to.duration(entry.due);
    to.count(entry.tags.named.len())?;
    for tag in &entry.tags.named {
        to.u64(*tag);
    }
    put_names(&mut to, &entry.names)?;
    to.count(entry.headers.len())?;
    for (name, value) in &entry.headers {
        to.bytes(name.as_str().as_bytes());
        to.bytes(value.as_bytes());
        to.u8(u8::from(value.is_sensitive()));
    }
    put_body(&mut to, &entry.body);
    Some(finish(to))
}

/// Writes the names that select among a resource's answers.
pub(super) fn of_variants(names: &[HeaderName], proof: &[u8; 32]) -> Option<Bytes> {
    let mut to = begin(VARIANTS, proof);
    put_names(&mut to, names)?;
    Some(finish(to))
}

/// Writes the knowledge that answers cannot be stored.
pub(super) fn of_hit_for_miss(proof: &[u8; 32]) -> Bytes {
    finish(begin(HIT_FOR_MISS, proof))
}

/// Reads a value that is to belong to the key of this proof, with a body of at most `most` bytes.
pub(super) fn read(bytes: &[u8], proof: &[u8; 32], most: u64, wall: SystemTime) -> Result<Value, Damage> {
    let known = bytes.len() >= 5 && bytes.starts_with(MAGIC) && bytes[3] == FORMAT;
    if !known || !(ANSWER..=HIT_FOR_MISS).contains(&bytes[4]) {
        return Err(Damage::Unknown);
    }
    let content = checked(bytes).ok_or(Damage::Corrupt)?;
    let mut from = Fields::new(&content[5..]);
    if from.take(32).ok_or(Damage::Corrupt)? != proof {
        return Err(Damage::Foreign);
    }
    let value = match bytes[4] {
        ANSWER => Value::Answer(Box::new(answer(&mut from, most, wall)?)),
        VARIANTS => Value::Variants(names(&mut from).ok_or(Damage::Corrupt)?),
        _ => Value::HitForMiss,
    };
    if from.is_empty() { Ok(value) } else { Err(Damage::Corrupt) }
}

fn begin(kind: u8, proof: &[u8; 32]) -> Writer {
    let mut to = Writer::default();
    to.raw(MAGIC);
    to.u8(FORMAT);
    to.u8(kind);
    to.raw(proof);
    to
}

fn finish(mut to: Writer) -> Bytes {
    let sum = xxh3_64(to.written());
    to.u64(sum);
    to.into_bytes()
}

/// The content without its checksum, if that is right.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (content, sum) = bytes.split_last_chunk::<8>()?;
    (content.len() >= 5 + 32 && xxh3_64(content) == u64::from_le_bytes(*sum)).then_some(content)
}

fn answer(from: &mut Fields<'_>, most: u64, wall: SystemTime) -> Result<Answer, Damage> {
    let written = from.u64().ok_or(Damage::Corrupt)?;
    let ahead = written.saturating_sub(since_epoch(wall));
    if Duration::from_millis(ahead) > CLOCKS_APART {
        return Err(Damage::Ahead);
    }
    let lain = Duration::from_millis(since_epoch(wall).saturating_sub(written));
    let mut read = answer_fields(from, most).ok_or(Damage::Corrupt)?;
    read.age = read.age.saturating_add(lain);
    Ok(read)
}

fn answer_fields(from: &mut Fields<'_>, most: u64) -> Option<Answer> {
    Some(Answer {
        age: from.duration()?,
        at: Position { epoch: from.u64()?, id: LogId::from_bits(from.u64()?) },
        status: StatusCode::from_u16(from.u16()?).ok()?,
        terms: terms(from)?,
        due: from.duration()?,
        named_tags: (0..from.u16()?).map(|_| from.u64()).collect::<Option<_>>()?,
        names: names(from)?,
        headers: headers(from)?,
        body: body(from, most)?,
    })
}

fn put_terms(to: &mut Writer, terms: &Terms) {
    for duration in [terms.lifetime, terms.stale_while_revalidate, terms.stale_if_error, terms.keep] {
        to.duration(duration);
    }
    let flags = [terms.no_cache, terms.never_stale, terms.no_max_stale];
    to.u8(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
    to.u64(terms.judged_by);
}

fn terms(from: &mut Fields<'_>) -> Option<Terms> {
    let mut next = || from.duration();
    let [lifetime, stale_while_revalidate, stale_if_error, keep] = [next()?, next()?, next()?, next()?];
    let flags = from.u8().filter(|flags| *flags < 8)?;
    let flag = |bit: u8| flags >> bit & 1 == 1;
    Some(Terms {
        lifetime,
        stale_while_revalidate,
        stale_if_error,
        keep,
        no_cache: flag(0),
        never_stale: flag(1),
        no_max_stale: flag(2),
        judged_by: from.u64()?,
    })
}

fn put_names(to: &mut Writer, names: &[HeaderName]) -> Option<()> {
    to.count(names.len())?;
    for name in names {
        to.bytes(name.as_str().as_bytes());
    }
    Some(())
}

fn names(from: &mut Fields<'_>) -> Option<Vec<HeaderName>> {
    (0..from.u16()?).map(|_| HeaderName::from_bytes(from.bytes()?).ok()).collect()
}

/// Copies, so that no value pins what it came in.
fn headers(from: &mut Fields<'_>) -> Option<HeaderMap> {
    let count = from.u16()?;
    let mut read = HeaderMap::with_capacity(usize::from(count).min(256));
    for _ in 0..count {
        let name = HeaderName::from_bytes(from.bytes()?).ok()?;
        let mut value = HeaderValue::from_bytes(from.bytes()?).ok()?;
        value.set_sensitive(from.u8()? == 1);
        read.append(name, value);
    }
    Some(read)
}

/// Compressed where that saves a tenth at least.
fn put_body(to: &mut Writer, body: &[u8]) {
    to.u32(body.len() as u32);
    let packed =
        (body.len() >= WORTH_COMPRESSING).then(|| zstd::bulk::compress(body, LEVEL)).and_then(Result::ok);
    match packed.filter(|packed| packed.len() <= body.len() / 10 * 9) {
        Some(packed) => to.bytes(&packed),
        None => to.bytes(body),
    }
}

/// The size it says it has is judged before anything of that size is allocated.
fn body(from: &mut Fields<'_>, most: u64) -> Option<Bytes> {
    let length = from.u32().filter(|length| u64::from(*length) <= most)? as usize;
    let stored = from.bytes()?;
    if stored.len() == length {
        return Some(Bytes::copy_from_slice(stored));
    }
    let unpacked = zstd::bulk::decompress(stored, length).ok()?;
    (unpacked.len() == length).then(|| unpacked.into())
}

fn since_epoch(wall: SystemTime) -> u64 {
    wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests;
