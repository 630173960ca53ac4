//! One request head: the request line and the fields, each line judged as soon as it is whole.

use super::Framing;
use crate::server::problem::{HEAD_TOO_LARGE, Refusal, TOO_MANY_FIELDS};

/// Longest request line, in bytes.
const REQUEST_LINE: usize = 16 * 1024;

/// Empty lines borne before a request line (RFC 9112 §2.2 asks for one).
const BLANK_LINES: usize = 4;

const BARE_LF: Refusal = Refusal::invalid("a line ends with LF alone");
const BARE_CR: Refusal = Refusal::invalid("a line contains CR");
const BLANKS: Refusal = Refusal::invalid("too many empty lines before the request line");
const REQUEST_LINE_LONG: Refusal = Refusal::invalid("the request line is too long");
const REQUEST_LINE_FORM: Refusal = Refusal::invalid("the request line is not method, target and version");
const METHOD: Refusal = Refusal::invalid("the method is not a token");
const TARGET: Refusal = Refusal::invalid("the request target holds a byte that is not allowed there");
const VERSION: Refusal = Refusal::invalid("the version is neither HTTP/1.1 nor HTTP/1.0");
const FOLDED: Refusal = Refusal::invalid("a header line begins with white space");
const NO_COLON: Refusal = Refusal::invalid("a header line has no colon");
const EMPTY_NAME: Refusal = Refusal::invalid("a header field has an empty name");
const SPACE_BEFORE_COLON: Refusal = Refusal::invalid("white space stands before the colon of a header field");
const NAME: Refusal = Refusal::invalid("a header field's name holds a byte that is not allowed there");
const CONTROL: Refusal = Refusal::invalid("a header field's value holds a control character");
const NO_HOST: Refusal = Refusal::invalid("Host is missing");
const HOST_TWICE: Refusal = Refusal::invalid("Host is repeated");
const LENGTH_TWICE: Refusal = Refusal::invalid("Content-Length is repeated");
const LENGTH_FORM: Refusal = Refusal::invalid("Content-Length is not one decimal number");
const CODING_TWICE: Refusal = Refusal::invalid("Transfer-Encoding is repeated");
const CODING_FORM: Refusal = Refusal::invalid("Transfer-Encoding is not exactly chunked");
const CODING_OLD: Refusal = Refusal::invalid("Transfer-Encoding is not part of HTTP/1.0");
const BOTH: Refusal = Refusal::invalid("Content-Length stands together with Transfer-Encoding");

/// What is known of a head so far. Offsets count from its first byte.
#[derive(Default)]
pub(super) struct Head {
    line_start: usize,
    searched: usize,
    blanks: usize,
    lines: usize,
    old_version: bool,
    host: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Head {
    /// True once anything but an empty line has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.lines > 0 || self.searched > self.line_start
    }

    /// Reads on in `bytes`, which always begin at the head's first byte. `None` asks for more.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        head_bytes: usize,
        head_fields: usize,
    ) -> Result<Option<(usize, Framing)>, Refusal> {
        while let Some(offset) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + offset;
            let line = bytes[self.line_start..end].strip_suffix(b"\r").ok_or(BARE_LF.at(self.lines + 1))?;
            (self.searched, self.line_start) = (end + 1, end + 1);
            if end >= head_bytes {
                return Err(HEAD_TOO_LARGE);
            }
            match (line.is_empty(), self.lines) {
                (true, 0) if self.blanks == BLANK_LINES => return Err(BLANKS),
                (true, 0) => self.blanks += 1,
                (true, _) => return Ok(Some((end + 1, self.framing()?))),
                (false, 0) => self.request_line(line)?,
                (false, fields) if fields > head_fields => return Err(TOO_MANY_FIELDS),
                (false, _) => self.field(line)?,
            }
        }
        self.searched = bytes.len();
        if bytes.len() >= head_bytes {
            return Err(HEAD_TOO_LARGE);
        }
        if self.lines == 0 && bytes.len() - self.line_start > REQUEST_LINE {
            return Err(REQUEST_LINE_LONG);
        }
        Ok(None)
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.lines = 1;
        if line.len() > REQUEST_LINE {
            return Err(REQUEST_LINE_LONG);
        }
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(REQUEST_LINE_FORM);
        };
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
            return Err(METHOD);
        }
        self.old_version = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(VERSION),
        };
        judge_target(target)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.lines += 1;
        let (name, value) = split_field(line).map_err(|refusal| refusal.at(self.lines))?;
        let judged = match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.note_host(),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.note_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.note_coding(value),
            _ => Ok(()),
        };
        judged.map_err(|refusal| refusal.at(self.lines))
    }

    fn note_host(&mut self) -> Result<(), Refusal> {
        if std::mem::replace(&mut self.host, true) { Err(HOST_TWICE) } else { Ok(()) }
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(LENGTH_TWICE);
        }
        self.length = Some(decimal(value).ok_or(LENGTH_FORM)?);
        Ok(())
    }

    fn note_coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        match (self.old_version, self.chunked) {
            (true, _) => Err(CODING_OLD),
            (_, true) => Err(CODING_TWICE),
            _ if !value.eq_ignore_ascii_case(b"chunked") => Err(CODING_FORM),
            _ => {
                self.chunked = true;
                Ok(())
            }
        }
    }

    fn framing(&self) -> Result<Framing, Refusal> {
        match (self.length, self.chunked) {
            _ if !self.host && !self.old_version => Err(NO_HOST),
            (Some(_), true) => Err(BOTH),
            (_, true) => Ok(Framing::Chunked),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// True for the bytes of a token (RFC 9110 §5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// True for what no field value may hold: control characters but the tab (RFC 9110 §5.5).
pub(super) const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// Name and trimmed value of a field line.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line[0], b' ' | b'\t') {
        return Err(FOLDED);
    }
    let end = line.iter().position(|byte| !is_token(*byte)).ok_or(NO_COLON)?;
    match line[end] {
        b':' if end == 0 => return Err(EMPTY_NAME),
        b':' => {}
        b' ' | b'\t' if line.contains(&b':') => return Err(SPACE_BEFORE_COLON),
        b'\r' => return Err(BARE_CR),
        _ if !line.contains(&b':') => return Err(NO_COLON),
        _ => return Err(NAME),
    }
    let value = &line[end + 1..];
    // Folded rather than short-circuited: the compiler turns this into vector instructions.
    if value.iter().fold(false, |bad, byte| bad | is_control(*byte)) {
        return Err(if value.contains(&b'\r') { BARE_CR } else { CONTROL });
    }
    Ok((&line[..end], value.trim_ascii()))
}

/// Refuses a target that the HTTP library would refuse without a reason, and a fragment, which it would drop.
fn judge_target(target: &[u8]) -> Result<(), Refusal> {
    let ordinary = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'%' | b'?' | b'=' | b'&' | b'-' | b'_' | b'.')
    };
    if target.first() == Some(&b'/') && target.iter().all(ordinary) {
        return Ok(());
    }
    if target.contains(&b'\r') {
        return Err(BARE_CR);
    }
    if target.contains(&b'#') || http::Uri::try_from(target).is_err() {
        return Err(TARGET);
    }
    Ok(())
}

/// One or more digits that fit in 63 bits.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let number = value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    i64::try_from(number).is_ok().then_some(number)
}
