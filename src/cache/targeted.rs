//! `CDN-Cache-Control` (RFC 9213): a structured dictionary (RFC 9651) that replaces `Cache-Control` and `Expires`.
//!
//! An empty or invalid field counts as absent, so that `Cache-Control` applies; a delta that is no integer makes
//! it invalid.

use http::HeaderMap;

use super::directives::ResponseDirectives;

const FIELD: &str = "cdn-cache-control";

/// The directives of the targeted field; `None` when it is absent, empty or invalid.
pub(super) fn directives(headers: &HeaderMap) -> Option<ResponseDirectives> {
    if !headers.contains_key(FIELD) {
        return None;
    }
    let lines = headers.get_all(FIELD).iter().map(|value| value.as_bytes().trim_ascii());
    let joined = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(&b", "[..]);
    let members = Parser { rest: &joined }.dictionary()?;
    let mut directives = ResponseDirectives { targeted: true, ..ResponseDirectives::default() };
    for (at, (name, value)) in members.iter().enumerate() {
        // In a dictionary the last of two equal keys wins.
        let repeated = members[at + 1..].iter().any(|(later, _)| later == name);
        match value {
            _ if repeated => {}
            Value::False => {}
            Value::Integer(digits) => directives.set(name, Some(digits)),
            Value::True | Value::Other if takes_seconds(name) => return None,
            Value::True => directives.set(name, None),
            Value::Other => directives.set(name, Some(b"")),
        }
    }
    (!members.is_empty()).then_some(directives)
}

fn takes_seconds(name: &[u8]) -> bool {
    [&b"max-age"[..], b"s-maxage", b"stale-while-revalidate", b"stale-if-error"].contains(&name)
}

enum Value<'a> {
    Integer(&'a [u8]),
    True,
    False,
    Other,
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn dictionary(mut self) -> Option<Vec<(&'a [u8], Value<'a>)>> {
        let mut members = Vec::new();
        self.skip(b" \t");
        while !self.rest.is_empty() {
            let name = self.key()?;
            let value = if self.take(b'=') { self.item_or_list()? } else { Value::True };
            self.parameters()?;
            members.push((name, value));
            self.skip(b" \t");
            if self.rest.is_empty() {
                break;
            }
            self.expect(b',')?;
            self.skip(b" \t");
            // Nothing may follow but another member: a trailing comma is an error.
            self.rest.first()?;
        }
        Some(members)
    }

    fn item_or_list(&mut self) -> Option<Value<'a>> {
        if !self.take(b'(') {
            return self.bare_item();
        }
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Some(Value::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            matches!(self.rest.first(), Some(b' ' | b')')).then_some(())?;
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        self.rest.first().filter(|first| first.is_ascii_lowercase() || **first == b'*')?;
        Some(self.run(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
        }))
    }

    fn bare_item(&mut self) -> Option<Value<'a>> {
        match *self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => self.boolean(),
            b':' => {
                self.expect(b':')?;
                self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
                self.expect(b':').map(|()| Value::Other)
            }
            b'@' => {
                self.expect(b'@')?;
                matches!(self.number()?, Value::Integer(_)).then_some(Value::Other)
            }
            b'%' => {
                self.expect(b'%')?;
                self.string()
            }
            first if first.is_ascii_alphabetic() || first == b'*' => {
                self.run(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(Value::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value<'a>> {
        let whole = self.rest;
        self.take(b'-');
        let digits = self.run(|byte| byte.is_ascii_digit()).len();
        if !self.take(b'.') {
            let text = &whole[..whole.len() - self.rest.len()];
            return (1..=15).contains(&digits).then_some(Value::Integer(text));
        }
        let fraction = self.run(|byte| byte.is_ascii_digit()).len();
        ((1..=12).contains(&digits) && (1..=3).contains(&fraction)).then_some(Value::Other)
    }

    fn string(&mut self) -> Option<Value<'a>> {
        self.expect(b'"')?;
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(Value::Other),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    matches!(escaped, b'"' | b'\\').then_some(())?;
                    self.rest = rest;
                }
                0x20..=0x7e => {}
                _ => return None,
            }
        }
    }

    fn boolean(&mut self) -> Option<Value<'a>> {
        self.expect(b'?')?;
        if self.take(b'1') {
            return Some(Value::True);
        }
        self.expect(b'0').map(|()| Value::False)
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| !belongs(byte)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.run(|byte| bytes.contains(&byte));
    }

    fn take(&mut self, byte: u8) -> bool {
        self.expect(byte).is_some()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
