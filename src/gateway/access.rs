//! Stage 0: who calls, and whether it may. Decided from what is in memory, before anything else is looked at.
//!
//! What proves the caller to Levee is taken out of the request here, so that no later stage can send it on.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderValue};

use crate::error::ProblemType;
use crate::identity::directory::{Authenticator, Refusal};
use crate::identity::{api_key, proof};
use crate::models::policy::Upstream;
use crate::models::principal::Principal;
use crate::telemetry::metrics::Metrics;

/// Whether somebody who proves nothing may call at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Nobody.
    Refused,
    /// A program on the same machine that is no browser page and no proxy: for development.
    FromThisMachine,
}

/// Lets callers in.
pub struct Gatekeeper {
    authenticator: Arc<Authenticator>,
    anonymous: Anonymous,
    pub(super) metrics: Arc<Metrics>,
}

/// Why a caller is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// What it is told as.
    pub(super) kind: ProblemType,
    /// What it may do about it.
    pub(super) detail: String,
    /// `WWW-Authenticate`, with a 401 (RFC 6750 section 3).
    pub(super) challenge: Option<&'static str>,
}

/// Asks for a proof.
const PROVE: &str = "Bearer";
/// The proof does not count.
const PROVE_ANEW: &str = "Bearer error=\"invalid_token\"";

impl Gatekeeper {
    /// A gatekeeper that knows whom the authenticator knows.
    pub fn new(authenticator: Arc<Authenticator>, anonymous: Anonymous, metrics: Arc<Metrics>) -> Self {
        Self { authenticator, anonymous, metrics }
    }

    /// Who calls; `None` for somebody who proves nothing and need not. Takes every credential of ours out of the
    /// headers. `upstream` is the one that is asked for, if there is such a one.
    pub(super) fn identify(
        &self,
        headers: &mut HeaderMap,
        upstream: Option<&Upstream>,
        peer: Option<IpAddr>,
        authority: Option<&str>,
    ) -> Result<Option<Arc<Principal>>, Denial> {
        let key_header = upstream.and_then(|upstream| upstream.access.key_header.as_ref());
        let Some(proof) = proof::find(headers, key_header) else {
            refuse_misplaced(headers)?;
            self.refuse_unproved(headers, peer, authority)?;
            return Ok(None);
        };
        let known = self.authenticator.authenticate(&proof.credential, SystemTime::now());
        let known = known.map_err(|refusal| {
            self.metrics.auth_failure(refusal.into());
            unauthorized(PROVE_ANEW, refused(refusal))
        })?;
        let places = proof.places;
        places.strip(headers);
        refuse_misplaced(headers)?;
        Ok(Some(known.principal))
    }

    fn refuse_unproved(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        authority: Option<&str>,
    ) -> Result<(), Denial> {
        let why = match self.anonymous {
            Anonymous::Refused => Some("anonymous calls are not accepted here"),
            Anonymous::FromThisMachine => refuse_anonymous(peer, headers, authority),
        };
        why.map_or(Ok(()), |why| {
            let detail = format!("This call proves no identity, and {why}. {HOW_TO_PROVE}");
            Err(unauthorized(PROVE, detail))
        })
    }
}

const HOW_TO_PROVE: &str = "Send an API key as `Levee-Key` or `Authorization: Bearer`.";

/// Whether this caller may call this upstream.
pub(super) fn authorize(caller: Option<&Principal>, upstream: &Upstream) -> Result<(), Denial> {
    if upstream.access.admits(caller) {
        return Ok(());
    }
    let name = &upstream.name;
    let Some(caller) = caller else {
        let detail = format!(
            "This call proves no identity, and `access.allow` of \"{name}\" wants one. {HOW_TO_PROVE}"
        );
        return Err(unauthorized(PROVE, detail));
    };
    let subject = caller.subject();
    let detail = if upstream.access.allow.is_empty() {
        format!(
            "`access.allow` of \"{name}\" names nobody yet. Whoever manages it can add `{subject}` there."
        )
    } else {
        format!(
            "`{subject}` matches nothing in `access.allow` of \"{name}\". Whoever manages it can add it there."
        )
    };
    Err(Denial { kind: ProblemType::Forbidden, detail, challenge: None })
}

fn unauthorized(challenge: &'static str, detail: impl Into<String>) -> Denial {
    Denial { kind: ProblemType::Unauthorized, detail: detail.into(), challenge: Some(challenge) }
}

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "The credential is damaged: it was not copied whole, or was not issued here.",
        Refusal::Expired => "The credential has expired.",
        Refusal::Unknown | Refusal::Disabled => "The credential is not known here, or counts no more.",
    }
}

/// A key or token of ours where none is looked for would travel on to the upstream.
fn refuse_misplaced(headers: &HeaderMap) -> Result<(), Denial> {
    let ours = |value: &HeaderValue| is_key(value) || proof::is_within(value.as_bytes());
    let Some((name, _)) = headers.iter().find(|(_, value)| ours(value)) else { return Ok(()) };
    let detail = format!(
        "The header `{name}` holds a key of Levee's, which is not looked for there: send it as `Levee-Key`, or name \
         the header in the upstream's `access.keyHeader`."
    );
    Err(unauthorized(PROVE, detail))
}

/// The same in the path or query, which also stand in others' logs.
pub(super) fn refuse_misplaced_in_target(target: &str) -> Result<(), Denial> {
    if !proof::is_within(target.as_bytes()) {
        return Ok(());
    }
    let detail = "The path or query holds a key of Levee's, which would travel on: send it as `Levee-Key`.";
    Err(unauthorized(PROVE, detail))
}

fn is_key(value: &HeaderValue) -> bool {
    let text = value.as_bytes().trim_ascii();
    let bearer = text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    let text = if bearer { text[7..].trim_ascii_start() } else { text };
    text.starts_with(api_key::PREFIX.as_bytes())
}

/// Why an anonymous call is refused, or `None`: a page of any web site can make a browser send requests to
/// `localhost`, and a proxy speaks for strangers.
fn refuse_anonymous(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    authority: Option<&str>,
) -> Option<&'static str> {
    if !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
        return Some("anonymous calls are accepted from loopback addresses only");
    }
    let host = authority.or_else(|| headers.get(header::HOST).and_then(|host| host.to_str().ok()));
    if !host.is_some_and(names_this_machine) {
        return Some("anonymous calls must be addressed to localhost: the Host header names another");
    }
    if headers.contains_key(header::ORIGIN) {
        return Some("anonymous calls with an Origin header are refused: they come from a web page");
    }
    // A page's pictures and links send no Origin; every browser of today sends this with them.
    if headers.get("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin") {
        return Some("anonymous calls that a page of another site makes a browser send are refused");
    }
    let forwarded =
        |name: &http::HeaderName| *name == header::FORWARDED || name.as_str().starts_with("x-forwarded-");
    if headers.keys().any(forwarded) {
        return Some(
            "anonymous calls with a Forwarded or X-Forwarded header are refused: they come through a proxy",
        );
    }
    None
}

fn names_this_machine(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
