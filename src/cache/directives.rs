//! Reads `Cache-Control` of requests and responses (RFC 9111 section 5.2) in every spelling met in the wild.
//!
//! Names are compared without case, arguments may be quoted, headers may repeat. What restricts counts however
//! it is written; what permits counts only when it is well formed. A delta that is garbage, negative or given
//! twice with different values leaves the answer stale; an unterminated quote makes it unstorable.

use std::time::Duration;

use http::{HeaderMap, header};

use super::targeted;

/// Where deltas saturate (RFC 9111 section 1.2.2).
pub(super) const LONGEST: Duration = Duration::from_secs(1 << 31);

/// What a response says about being stored and reused.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each directive of the RFC")]
pub(super) struct ResponseDirectives {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) must_understand: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) s_maxage: Option<Duration>,
    pub(super) stale_while_revalidate: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
    /// They came from `CDN-Cache-Control`, so `Expires` does not count (RFC 9213 section 2.2).
    pub(super) targeted: bool,
}

impl ResponseDirectives {
    /// `CDN-Cache-Control` where it is there and valid, else `Cache-Control`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if let Some(directives) = targeted::directives(headers) {
            return directives;
        }
        let mut directives = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            let well_formed = each_member(value.as_bytes(), |name, argument| directives.set(name, argument));
            directives.no_store |= !well_formed;
        }
        directives
    }

    /// Takes one directive; unknown ones are ignored.
    pub(super) fn set(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("max-age") {
            delta(&mut self.max_age, argument, Duration::ZERO);
        } else if is("s-maxage") {
            delta(&mut self.s_maxage, argument, Duration::ZERO);
        } else if is("stale-while-revalidate") {
            delta(&mut self.stale_while_revalidate, argument, Duration::ZERO);
        } else if is("stale-if-error") {
            delta(&mut self.stale_if_error, argument, Duration::ZERO);
        } else {
            self.no_store |= is("no-store");
            self.no_cache |= is("no-cache");
            self.private |= is("private");
            self.public |= is("public") && argument.is_none();
            self.must_revalidate |= is("must-revalidate");
            self.proxy_revalidate |= is("proxy-revalidate");
            self.must_understand |= is("must-understand") && argument.is_none();
        }
    }
}

/// What a caller asks of the cache.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct RequestDirectives {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) only_if_cached: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) min_fresh: Option<Duration>,
    pub(super) max_stale: Option<Duration>,
}

impl RequestDirectives {
    /// `Cache-Control`, or `Pragma: no-cache` where there is none (RFC 9111 section 5.4).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if headers.contains_key(header::CACHE_CONTROL) {
            for value in headers.get_all(header::CACHE_CONTROL) {
                each_member(value.as_bytes(), |name, argument| directives.set(name, argument));
            }
        } else {
            for value in headers.get_all(header::PRAGMA) {
                each_member(value.as_bytes(), |name, _| {
                    directives.no_cache |= name.eq_ignore_ascii_case(b"no-cache");
                });
            }
        }
        directives
    }

    fn set(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("max-age") {
            delta(&mut self.max_age, argument, Duration::ZERO);
        } else if is("min-fresh") {
            delta(&mut self.min_fresh, argument, LONGEST);
        } else if is("max-stale") && argument.is_none() {
            self.max_stale = Some(LONGEST);
        } else if is("max-stale") {
            delta(&mut self.max_stale, argument, Duration::ZERO);
        } else {
            self.no_store |= is("no-store");
            self.no_cache |= is("no-cache");
            self.only_if_cached |= is("only-if-cached");
        }
    }
}

/// Reads delta-seconds: digits only, saturating; `None` when it is anything else.
pub(super) fn seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    for byte in text {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        total = total.saturating_mul(10).saturating_add(digit);
    }
    Some(Duration::from_secs(total).min(LONGEST))
}

/// `strictest` stands for what is malformed, and for values that contradict one another.
fn delta(slot: &mut Option<Duration>, argument: Option<&[u8]>, strictest: Duration) {
    let value = argument.and_then(|text| seconds(unquoted(text))).unwrap_or(strictest);
    *slot = match *slot {
        Some(before) if before != value => Some(strictest),
        _ => Some(value),
    };
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(text)
}

/// Calls `take` with every `name[=argument]`; false when a quoted string never ends.
fn each_member(value: &[u8], mut take: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
    let well_formed = quotes_close(value);
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if well_formed => quoted = !quoted,
            b',' if !quoted => {
                member(&value[start..at], &mut take);
                start = at + 1;
            }
            _ => {}
        }
    }
    member(&value[start..], &mut take);
    well_formed
}

fn quotes_close(value: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for &byte in value {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

fn member(text: &[u8], take: &mut impl FnMut(&[u8], Option<&[u8]>)) {
    let text = text.trim_ascii();
    if text.is_empty() {
        return;
    }
    let Some(at) = text.iter().position(|&byte| byte == b'=') else { return take(text, None) };
    let (name, argument) = (&text[..at], &text[at + 1..]);
    // The grammar has no space round `=`; an argument so written counts as malformed.
    let trimmed = name.trim_ascii_end();
    take(trimmed, Some(if trimmed.len() == name.len() { argument } else { b"" }));
}

#[cfg(test)]
mod tests;
