//! `If-Match`: which state a writer believes it changes, so that two who read the same state cannot undo each other's work.

use poem::http::header::IF_MATCH;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::error::ApiError;
use crate::error::Failure;

/// Versions and revisions begin at one, so no state has this number.
const NO_STATE: u64 = 0;

/// The `If-Match` of a change (RFC 9110 section 13.1.1). A handler takes it as an argument and names it:
/// `#[oai(name = "If-Match")] if_match: IfMatch`. Without the header the answer is 428, with one that is no entity tag
/// 400. A tag of another state is for the service to refuse, with 412.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IfMatch(Option<u64>);

impl IfMatch {
    /// The revision of an upstream the writer read; `None` is `*`, whatever is there.
    pub(super) fn revision(&self) -> Option<u64> {
        self.0
    }

    /// The version of a user or service account the writer read; `None` is `*`, whatever is there.
    pub(super) fn version(&self) -> Option<i64> {
        self.0.map(|version| i64::try_from(version).unwrap_or(i64::MAX))
    }

    /// A tag that we never gave, a weak one among them, is a state nothing is in: comparison is strong.
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self(None));
        }
        let opaque = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?.strip_suffix('"')?;
        if !opaque.bytes().all(|byte| byte == 0x21 || byte >= 0x23 && byte != 0x7f) {
            return None;
        }
        let ours = !text.starts_with("W/") && opaque.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self(Some(opaque.parse().ok().filter(|_| ours).unwrap_or(NO_STATE))))
    }

    /// What was sent, if anything.
    fn sent(request: &Request) -> Result<Option<Self>, Failure> {
        let mut sent = request.headers().get_all(IF_MATCH).iter();
        let Some(first) = sent.next() else { return Ok(None) };
        let tag = first.to_str().ok().filter(|_| sent.next().is_none());
        let tag = tag.and_then(|tag| Self::parse(tag.trim()));
        let odd = || Failure::invalid("If-Match", "must be one entity tag in double quotes, or `*`");
        tag.map(Some).ok_or_else(odd)
    }

    fn of(request: &Request) -> Result<Self, Failure> {
        let message = "Read it first, and send its ETag as If-Match; or `*` to change whatever is there.";
        Self::sent(request)?.ok_or_else(|| Failure::precondition_required(message))
    }
}

/// The same where it may be left out: then whatever is there is changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MayMatch(Option<IfMatch>);

impl MayMatch {
    /// The revision of an upstream the writer read; `None` is whatever is there.
    pub(super) fn revision(&self) -> Option<u64> {
        self.0.as_ref().and_then(IfMatch::revision)
    }
}

/// A header parameter that reads `If-Match`.
macro_rules! parameter {
    ($name:ident, required: $required:literal, |$request:ident| $read:expr) => {
        impl<'a> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
            const PARAM_IS_REQUIRED: bool = $required;

            type ParamType = String;
            type ParamRawType = String;

            fn register(registry: &mut Registry) {
                <String as Type>::register(registry);
            }

            fn param_in() -> Option<MetaParamIn> {
                Some(MetaParamIn::Header)
            }

            fn param_schema_ref() -> Option<MetaSchemaRef> {
                Some(String::schema_ref())
            }

            async fn from_request(
                $request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<String>,
            ) -> Result<Self> {
                Ok($read.map_err(ApiError)?)
            }
        }
    };
}

parameter!(IfMatch, required: true, |request| Self::of(request));
parameter!(MayMatch, required: false, |request| IfMatch::sent(request).map(Self));

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;
    use crate::error::Kind;

    fn sent(tags: &[&str]) -> Result<IfMatch, Kind> {
        let mut request = Request::default();
        for tag in tags {
            request.headers_mut().append(IF_MATCH, HeaderValue::from_str(tag).unwrap());
        }
        IfMatch::of(&request).map_err(|failure| failure.kind())
    }

    #[test]
    fn a_tag_is_the_number_it_holds() {
        assert_eq!(sent(&["\"7\""]).unwrap().version(), Some(7));
        assert_eq!(sent(&[" \"7\" "]).unwrap().revision(), Some(7));
        assert_eq!(sent(&["*"]).unwrap().version(), None);
    }

    #[test]
    fn a_tag_that_was_never_given_matches_no_state() {
        for tag in ["\"\"", "\"abc\"", "\"+7\"", "W/\"7\"", "\"99999999999999999999999\""] {
            assert_eq!(sent(&[tag]).unwrap().revision(), Some(NO_STATE), "{tag}");
        }
    }

    #[test]
    fn without_a_tag_it_is_asked_for() {
        assert_eq!(sent(&[]), Err(Kind::PreconditionRequired));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for tags in
            [&["7"][..], &[""], &["\"7"], &["\"7\", \"8\""], &["\"7\"", "\"8\""], &["W/7"], &["\"a\"b\""]]
        {
            assert_eq!(sent(tags), Err(Kind::Validation), "{tags:?}");
        }
    }
}
