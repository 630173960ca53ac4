//! Conditional requests: the caller's, answered from what is stored, and ours, which ask whether it still holds
//! (RFC 9110 section 13, RFC 9111 section 4.3).

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::freshness;
use super::hit::Hit;

/// Whether the caller's `If-None-Match` or `If-Modified-Since` makes this answer a 304.
///
/// Compares entity tags weakly; `If-Modified-Since` counts only without `If-None-Match`, and goes by `Date` where
/// there is no `Last-Modified` (RFC 9111 section 4.3.2). Only a 2xx answer can become a 304.
pub fn is_not_modified(request: &HeaderMap, status: StatusCode, response: &HeaderMap) -> bool {
    if !status.is_success() {
        return false;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        let etag = response.get(header::ETAG).map(HeaderValue::as_bytes);
        return request.get_all(header::IF_NONE_MATCH).iter().any(|list| lists(list.as_bytes(), etag));
    }
    let Some(since) = freshness::date(request, header::IF_MODIFIED_SINCE) else { return false };
    let dated =
        if response.contains_key(header::LAST_MODIFIED) { header::LAST_MODIFIED } else { header::DATE };
    freshness::date(response, dated).is_some_and(|modified| modified <= since)
}

/// Prepares the headers of a request to the upstream whose answer may be stored or shared: the caller's own
/// conditions go, those of the stored answer (if there is one) take their place.
pub fn set_conditions(headers: &mut HeaderMap, stored: Option<&Hit>) {
    headers.remove(header::IF_NONE_MATCH);
    headers.remove(header::IF_MODIFIED_SINCE);
    let Some(stored) = stored else { return };
    for (validator, condition) in
        [(header::ETAG, header::IF_NONE_MATCH), (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE)]
    {
        if let Some(value) = stored.entry.headers.get(validator) {
            headers.insert(condition, value.clone());
        }
    }
}

/// Whether a 304 speaks of the stored answer (RFC 9111 section 4.3.4): a strong tag has to be the same, a weak one
/// has to match weakly, and without a tag `Last-Modified` must not differ.
pub(super) fn confirms(stored: &HeaderMap, not_modified: &HeaderMap) -> bool {
    match (not_modified.get(header::ETAG), not_modified.get(header::LAST_MODIFIED)) {
        (Some(tag), _) => stored.get(header::ETAG).is_some_and(|own| {
            if is_weak(tag.as_bytes()) {
                opaque(own.as_bytes()) == opaque(tag.as_bytes())
            } else {
                own == tag
            }
        }),
        (None, Some(modified)) => stored.get(header::LAST_MODIFIED).is_none_or(|own| own == modified),
        (None, None) => true,
    }
}

/// The stored headers brought up to date by a 304 (RFC 9111 section 3.2). What describes the body as it is
/// stored stays; `Date` and `Age` are the 304's, or none.
pub(super) fn updated(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    headers.remove(header::DATE);
    headers.remove(header::AGE);
    for name in not_modified.keys() {
        if [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::CONTENT_RANGE].contains(name) {
            continue;
        }
        headers.remove(name);
        for value in not_modified.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Whether an `If-None-Match` list names the tag; `*` names any.
fn lists(list: &[u8], etag: Option<&[u8]>) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    let mut rest = list;
    while !rest.is_empty() {
        let (member, after) = rest.split_at(member_end(rest));
        if opaque(member.trim_ascii()) == opaque(etag) {
            return true;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    false
}

/// Where the first member of a list of entity tags ends: at a comma that no quotes enclose.
fn member_end(list: &[u8]) -> usize {
    let mut quoted = false;
    let end = list.iter().position(|&byte| {
        quoted ^= byte == b'"';
        byte == b',' && !quoted
    });
    end.unwrap_or(list.len())
}

fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests;
