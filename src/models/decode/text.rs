//! Texts, names out of a fixed set, and the vocabulary of HTTP.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

use super::Place;
use super::quantity::looks_like_number;

/// The methods a policy can speak of (RFC 9110 section 9, RFC 5789); CONNECT and TRACE are not forwarded.
const METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"];

/// Headers of one connection or of the gateway's own making (RFC 9110 section 7.6.1); no policy may touch them.
const UNTOUCHABLE: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl<'a> Place<'a> {
    /// A text of at most `most` bytes.
    pub(crate) fn text(&self, most: usize) -> Option<&'a str> {
        let (text, quoted) = self.scalar()?;
        if !quoted && (looks_like_number(text) || is_boolean(text)) {
            self.refuse("must be a text; put it in quotes");
            return None;
        }
        if text.len() > most {
            self.refuse(format!("is {} bytes long; at most {most} are allowed", text.len()));
            return None;
        }
        Some(text)
    }

    /// A text on one line that is not empty, of at most `most` bytes.
    pub(crate) fn line(&self, most: usize) -> Option<&'a str> {
        let text = self.text(most)?;
        if text.is_empty() || text.chars().any(char::is_control) {
            self.refuse("must be a text on one line, not empty");
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.scalar()? {
            ("true" | "True" | "TRUE", false) => Some(true),
            ("false" | "False" | "FALSE", false) => Some(false),
            _ => {
                self.refuse("must be `true` or `false`");
                None
            }
        }
    }

    /// One of the named values.
    pub(crate) fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(usize::MAX)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.refuse(format!("`{}` is not a value; {}", shown(text), suggestion(text, &names)));
        }
        found
    }

    /// One of the named values; `unbuilt` are those designed but not built, each with what it waits for.
    pub(crate) fn choice_of<T: Clone>(&self, choices: &[(&str, T)], unbuilt: &[(&str, &str)]) -> Option<T> {
        if let super::Value::Scalar { text, .. } = &self.node.value
            && let Some((_, why)) = unbuilt.iter().find(|(name, _)| name == text)
        {
            self.refuse(format!("not supported yet: {why}"));
            return None;
        }
        self.choice(choices)
    }

    /// A request method in capitals.
    pub(crate) fn method(&self) -> Option<Method> {
        let text = self.text(usize::MAX)?;
        let method = METHODS.contains(&text).then(|| Method::from_bytes(text.as_bytes()).ok()).flatten();
        if method.is_none() {
            self.refuse(format!("`{}` is not a method; {}", shown(text), suggestion(text, METHODS)));
        }
        method
    }

    /// A status that says something failed: 400 to 599.
    pub(crate) fn failure_status(&self) -> Option<StatusCode> {
        let number = self.integer(0..=u64::MAX)?;
        let status = u16::try_from(number).ok().filter(|status| (400..=599).contains(status));
        if status.is_none() {
            self.refuse(format!("{number} is not the status of a failure; use one from 400 to 599"));
        }
        StatusCode::from_u16(status?).ok()
    }

    /// A status a document can be answered with: 2xx, 4xx or 5xx.
    pub(crate) fn answer_status(&self) -> Option<StatusCode> {
        let number = self.integer(0..=u64::MAX)?;
        let status = u16::try_from(number).ok().filter(|status| matches!(status, 200..=299 | 400..=599));
        if status.is_none() {
            self.refuse(format!("{number} cannot be answered with; use 2xx, 4xx or 5xx"));
        }
        StatusCode::from_u16(status?).ok()
    }

    /// A header's name, in lower case.
    pub(crate) fn header_name(&self) -> Option<HeaderName> {
        let text = self.text(256)?;
        self.as_header_name(text)
    }

    /// `name` as the header's name, at this place.
    pub(crate) fn as_header_name(&self, name: &str) -> Option<HeaderName> {
        let parsed = (name.len() <= 256).then(|| HeaderName::from_bytes(name.as_bytes()).ok()).flatten();
        if parsed.is_none() {
            self.refuse(format!("`{}` is not a header name (RFC 9110 section 5.1)", shown(name)));
        }
        parsed
    }

    /// `name` as the name of a header that a policy may set or remove, at this place.
    pub(crate) fn as_policy_header(&self, name: &str) -> Option<HeaderName> {
        let parsed = self.as_header_name(name)?;
        if UNTOUCHABLE.contains(&parsed.as_str()) || parsed.as_str().starts_with("levee-") {
            self.refuse(format!(
                "`{parsed}` belongs to the connection or to Levee; a policy cannot change it"
            ));
            return None;
        }
        Some(parsed)
    }

    /// A header's value, at most 8 KiB.
    pub(crate) fn header_value(&self) -> Option<HeaderValue> {
        let text = self.text(8 << 10)?;
        let value = HeaderValue::from_str(text).ok();
        if value.is_none() {
            self.refuse("is not a header value: visible ASCII, spaces and tabs only");
        }
        value
    }

    /// A range of addresses.
    pub(crate) fn address_range(&self) -> Option<IpNet> {
        let text = self.text(64)?;
        let Ok(range) = text.parse::<IpNet>() else {
            self.refuse(format!("`{}` is not a range of addresses such as `10.0.0.0/8`", shown(text)));
            return None;
        };
        if range != range.trunc() {
            self.refuse(format!("has bits after its prefix; did you mean `{}`?", range.trunc()));
            return None;
        }
        Some(range)
    }
}

/// What to write instead of `wrong`: the nearest of `valid`, or all of them when none is near.
pub(super) fn suggestion(wrong: &str, valid: &[&str]) -> String {
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let folded = plain(wrong);
    let distance = |name: &str| strsim::damerau_levenshtein(&folded, &plain(name));
    let near = valid
        .iter()
        .filter(|_| wrong.len() <= 64)
        .map(|name| (distance(name), *name))
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, name)) = near {
        return format!("did you mean `{name}`?");
    }
    format!("use one of {}", valid.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

/// What an author wrote, safe to print on a line of a log.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        shown.push('…');
    }
    shown
}

fn is_boolean(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}
