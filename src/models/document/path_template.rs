//! Path templates: `/quotes/{id}`, `/files/**`.

use crate::models::decode::Place;
use crate::models::policy::{PathTemplate, Segment};

/// Reads a template.
pub(super) fn read(place: &Place) -> Option<PathTemplate> {
    let text = place.line(1024)?;
    let segments = parse(text).map_err(|reason| place.refuse(reason)).ok()?;
    Some(PathTemplate { text: text.to_owned(), segments })
}

/// Refuses bytes that cannot stand in a path (RFC 3986 section 3.3) and pieces that would climb out of it.
pub(super) fn check_segment(segment: &str) -> Result<(), &'static str> {
    let bytes = segment.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let escape =
            || bytes.get(index + 1..index + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let allowed = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte);
        if !(allowed || *byte == b'%' && escape()) {
            return Err("has a character that cannot stand in a path; write it as %XX");
        }
    }
    let decoded = segment.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    if decoded.contains("%00") {
        return Err("must not contain a NUL");
    }
    if decoded.split('/').any(|piece| matches!(piece, "." | "..")) {
        return Err("must not contain `.` or `..`");
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Segment>, &'static str> {
    let below = text.strip_prefix('/').ok_or("must start with `/`")?;
    if below.is_empty() {
        return Ok(Vec::new());
    }
    let mut pieces = below.split('/').peekable();
    let mut segments = Vec::new();
    while let Some(piece) = pieces.next() {
        segments.push(segment(piece, pieces.peek().is_none())?);
    }
    Ok(segments)
}

fn segment(piece: &str, last: bool) -> Result<Segment, &'static str> {
    if piece.is_empty() {
        return Err("must not have an empty segment");
    }
    if piece == "**" {
        return if last { Ok(Segment::Rest) } else { Err("may have `**` only as its last segment") };
    }
    if let Some(name) = piece.strip_prefix('{').and_then(|piece| piece.strip_suffix('}')) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let named = !name.is_empty() && name.bytes().all(allowed);
        return if named {
            Ok(Segment::Any)
        } else {
            Err("needs a name of letters, digits, `_`, `-` in `{}`")
        };
    }
    if piece.contains(['{', '}', '*']) {
        return Err("may have `{name}` only as a whole segment and `**` only as the last one");
    }
    check_segment(piece)?;
    Ok(Segment::Literal(piece.to_owned()))
}
