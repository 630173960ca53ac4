//! `credentials`: how a stored secret goes into each request. The secret itself never stands in a document.

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::{Home, base_url};
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{BaseUrl, Credentials, HeaderRules, OAuth2};

const FIELDS: Fields = Fields {
    known: &["header", "basic", "oauth2"],
    unbuilt: &[("secretRef", "only custom resources can name a secret of the cluster; set it over the API")],
};
const SECRET_REFERENCE: Fields = Fields::all(&["name", "key"]);
const HEADER: Fields = Fields::all(&["name", "value"]);
const BASIC: Fields = Fields::all(&["username"]);
const OAUTH2: Fields = Fields::all(&["tokenUrl", "clientId", "scopes"]);

/// Where the secret goes in a header's value.
const PLACEHOLDER: &str = "{secret}";

/// Headers that frame the message or tell its way: credentials in them would break the call.
const NO_CREDENTIALS: &[&str] =
    &["accept-encoding", "content-encoding", "content-type", "forwarded", "range", "via"];

/// Reads the block of an upstream at `url`. `allowed` are the private ranges that may be dialled.
pub(super) fn read(
    spec: &Object,
    url: Option<&BaseUrl>,
    allowed: &[IpNet],
    home: Home<'_>,
) -> Option<Credentials> {
    let also = home.if_in_cluster("secretRef");
    let block = spec.read("credentials", |place| place.object_with(FIELDS, also))?;
    if matches!(home, Home::Namespace(_)) {
        block.read("secretRef", secret_reference);
    }
    if !block.exactly_one(FIELDS.known) {
        return None;
    }
    let header = block.read("header", header);
    let basic = block.read("basic", basic);
    let oauth2 = block.read("oauth2", |place| oauth2(place, allowed));
    let in_the_clear = url.is_some_and(crosses_networks_in_the_clear);
    spec.contradiction("credentials", &["url"], in_the_clear, || IN_THE_CLEAR.to_owned());
    header.or(basic).or(oauth2)
}

/// Refuses credentials whose header the policy sets as well. `given` are all header rules of the document.
pub(super) fn check_headers<'a>(
    spec: &Object,
    credentials: Option<&Credentials>,
    mut given: impl Iterator<Item = &'a HeaderRules>,
) {
    let Some(name) = credentials.map(Credentials::header) else { return };
    let set = given.any(|rules| rules.set.iter().any(|(set, _)| set == name));
    spec.contradiction("credentials", &["headers", "operations"], set, || {
        format!("put their own value into `{name}`, which `headers.set` sets as well; leave one of them out")
    });
}

/// Only judged here: what it leads to is not the document's to say.
fn secret_reference(place: &Place) -> Option<()> {
    let block = place.object(SECRET_REFERENCE)?;
    block.required("name", |place| secret_part(place, "the name of a Secret"));
    block.required("key", |place| secret_part(place, "a key of a Secret"))
}

fn secret_part(place: &Place, what: &str) -> Option<()> {
    let text = place.line(253)?;
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        place.refuse(format!("is not {what}: letters, digits, `-`, `.` and `_`"));
        return None;
    }
    Some(())
}

fn header(place: &Place) -> Option<Credentials> {
    let block = place.object(HEADER)?;
    let name = block.required("name", credential_header);
    let value = block.required("value", template);
    let (before, after) = value?;
    Some(Credentials::Header { name: name?, before, after })
}

fn credential_header(place: &Place) -> Option<HeaderName> {
    let name = place.as_policy_header(place.text(256)?)?;
    if NO_CREDENTIALS.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-") {
        place.refuse(format!("`{name}` is not a header for credentials"));
        return None;
    }
    Some(name)
}

fn template(place: &Place) -> Option<(String, String)> {
    let text = place.line(1024)?;
    let parts: Vec<&str> = text.split(PLACEHOLDER).collect();
    let [before, after] = parts[..] else {
        place.refuse("must hold `{secret}` exactly once, where the secret goes: `Bearer {secret}`");
        return None;
    };
    if HeaderValue::from_str(before).is_err() || HeaderValue::from_str(after).is_err() || text.trim() != text
    {
        place.refuse("is not a header value: visible ASCII, with spaces only inside");
        return None;
    }
    Some((before.to_owned(), after.to_owned()))
}

fn basic(place: &Place) -> Option<Credentials> {
    let username = place.object(BASIC)?.required("username", |place| {
        let name = place.line(255)?;
        if name.contains(':') {
            place.refuse("must not have a `:`, which ends a user name (RFC 7617 section 2)");
            return None;
        }
        Some(name.to_owned())
    })?;
    Some(Credentials::Basic { username })
}

fn oauth2(place: &Place, allowed: &[IpNet]) -> Option<Credentials> {
    let block = place.object(OAUTH2)?;
    let token_url = block.required("tokenUrl", |place| token_url(place, allowed));
    let client_id = block.required("clientId", |place| place.line(255).map(str::to_owned));
    let scopes = block.read("scopes", |place| place.list_of(64, scope)).unwrap_or_default();
    Some(Credentials::OAuth2(OAuth2 { token_url: token_url?, client_id: client_id?, scopes }))
}

fn token_url(place: &Place, allowed: &[IpNet]) -> Option<BaseUrl> {
    let mut url = base_url::read(place, allowed, None)?;
    if crosses_networks_in_the_clear(&url) {
        place.refuse(IN_THE_CLEAR);
        return None;
    }
    // Unlike an upstream's, nothing is put behind it: `/token` and `/token/` are two places.
    if place.text(2048)?.ends_with('/') {
        url.path.push('/');
    }
    Some(url)
}

/// A scope token (RFC 6749 section 3.3).
fn scope(place: &Place) -> Option<String> {
    let text = place.text(255)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)) {
        place.refuse("is not a scope: visible ASCII without spaces, `\"` and `\\`; list each on its own");
        return None;
    }
    Some(text.to_owned())
}

const IN_THE_CLEAR: &str = "would cross the network in the clear; use https";

/// Plain HTTP to a place that may be anywhere. An address here is a private one that the deployer allowed, or public;
/// a name is taken for private where public DNS cannot have it.
fn crosses_networks_in_the_clear(url: &BaseUrl) -> bool {
    !url.https && !base_url::is_private(&url.host)
}
