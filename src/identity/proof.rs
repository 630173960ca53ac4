//! Which credential a request carries, and whether it is ours: what proves a caller to Levee never goes on to an upstream.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use super::api_key;
use super::token::ISSUER;

/// The header that is always meant for us.
pub const LEVEE_KEY: HeaderName = HeaderName::from_static("levee-key");

/// A credential of ours, and where such ones stood.
pub struct Proof<'a> {
    /// The key or token, as it was sent.
    pub credential: Cow<'a, str>,
    /// What must not go on to an upstream.
    pub places: Places,
}

/// The headers that hold a credential of ours, those included that were not looked at as the caller's proof.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Places([Option<HeaderName>; 3]);

impl Places {
    /// Takes them out, with all their values.
    pub fn strip(&self, headers: &mut HeaderMap) {
        for name in self.0.iter().flatten() {
            headers.remove(name);
        }
    }
}

/// The caller's proof, in the contract's order: `Levee-Key`, whatever it holds; `Authorization` (Bearer, or Basic, where
/// it stands as the user name) when the credential is ours; then `key_header` when what it holds is ours. A credential
/// is ours when it begins with `lvk_` or is a JWT with our issuer or audience, valid or not. Of several the first counts,
/// and all of them are told as places.
///
/// A key of ours that stands behind another scheme, or as the password of Basic, proves its owner too: it must not go on
/// to the upstream, and nothing would be gained by refusing it.
pub fn find<'a>(headers: &'a HeaderMap, key_header: Option<&HeaderName>) -> Option<Proof<'a>> {
    let given = headers.get(LEVEE_KEY).map(|value| text(value.as_bytes().trim_ascii()));
    let authorization = first(headers, &AUTHORIZATION, of_authorization);
    let named = key_header.and_then(|name| first(headers, name, of_header));
    let places = Places([
        given.as_ref().map(|_| LEVEE_KEY),
        authorization.as_ref().map(|_| AUTHORIZATION),
        named.as_ref().and(key_header).cloned(),
    ]);
    given.or(authorization).or(named).map(|credential| Proof { credential, places })
}

fn first<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    read: impl Fn(&'a [u8]) -> Option<Cow<'a, str>>,
) -> Option<Cow<'a, str>> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).find_map(|value| read(value.trim_ascii()))
}

/// The credential of `key_header`, which an SDK may write as in `Authorization`.
fn of_header(value: &[u8]) -> Option<Cow<'_, str>> {
    if is_ours(value) { Some(text(value)) } else { of_authorization(value) }
}

fn of_authorization(value: &[u8]) -> Option<Cow<'_, str>> {
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(0);
    let (scheme, rest) = value.split_at(end);
    let rest = rest.trim_ascii_start();
    if scheme.eq_ignore_ascii_case(b"basic") {
        return of_basic(rest);
    }
    is_ours(rest).then(|| text(rest))
}

/// RFC 7617: `user name:password` in base64. The user name holds no colon, and neither does a credential of ours.
fn of_basic(encoded: &[u8]) -> Option<Cow<'static, str>> {
    let decoded = BASE64.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':').unwrap_or(decoded.len());
    let (name, password) = decoded.split_at(colon);
    let password = password.get(1..).unwrap_or_default();
    [name, password].into_iter().find(|part| is_ours(part)).map(|part| Cow::Owned(text(part).into_owned()))
}

/// Clients differ in whether they pad.
const EITHER: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER);
const BASE64URL: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, EITHER.with_decode_allow_trailing_bits(true));

/// Judged by bytes, so that a key of ours with a stray byte in it is still ours.
fn is_ours(credential: &[u8]) -> bool {
    credential.starts_with(api_key::PREFIX.as_bytes()) || is_our_token(credential)
}

/// Whether a text that is looked at for no proof holds one all the same: a whole key, or a token of ours, between
/// whatever characters.
pub fn is_within(text: &[u8]) -> bool {
    // Most headers end here: every call asks for each of them.
    if text.len() < api_key::LENGTH {
        return false;
    }
    let part = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    text.split(part).any(|piece| match piece.get(..3) {
        Some(b"lvk") => str::from_utf8(piece).is_ok_and(|piece| api_key::read(piece).is_some()),
        // `{"` in base64: how every JWT begins.
        Some(b"eyJ") => is_our_token(piece),
        _ => false,
    })
}

/// What a JWT says of itself, believed only so far that it is not sent on.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    aud: Value,
}

fn is_our_token(credential: &[u8]) -> bool {
    let mut parts = credential.split(|byte| *byte == b'.');
    let (Some(_), Some(payload), Some(_)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let Ok(payload) = BASE64URL.decode(payload) else { return false };
    let Ok(said) = serde_json::from_slice::<Said>(&payload) else { return false };
    let audience = said.aud.as_array().map_or(std::slice::from_ref(&said.aud), Vec::as_slice);
    said.iss == ISSUER || audience.iter().any(|one| *one == ISSUER)
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests;
