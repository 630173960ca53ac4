//! What crosses to the upstream: the request of one attempt.

use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Uri};

use super::Gateway;
use super::call::Call;
use super::credentials::Credential;
use super::failure::{Failure, FailureKind};
use super::retry::Tries;
use super::transport::RequestBody;
use crate::cache::{self, Hit};

/// Tells every Levee behind this one that retrying is done here, or by one in front; its value is the number of the
/// attempt.
pub(super) const LEVEE_ATTEMPT: HeaderName = HeaderName::from_static("levee-attempt");

/// Whose conditions a request carries.
#[derive(Clone, Copy)]
pub enum Conditions<'a> {
    /// The caller's own, as sent.
    Caller,
    /// None: the whole answer is wanted for the cache.
    Unconditional,
    /// Those of a stored answer.
    Stored(&'a Hit),
}

/// The request of attempt `number`, in origin form. The credential goes in last.
pub(super) fn request(
    gateway: &Gateway,
    call: &Call,
    body: RequestBody,
    tries: &Tries,
    number: u32,
    conditions: Conditions<'_>,
    credential: Option<&Credential>,
) -> Result<Request<RequestBody>, Failure> {
    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = call.target.text().parse::<Uri>().map_err(|_| {
        Failure::new(FailureKind::Internal, "proxy_internal_error", "The path cannot be sent.")
    })?;
    let headers = request.headers_mut();
    *headers = call.headers.clone();
    match conditions {
        Conditions::Caller => {}
        Conditions::Unconditional => cache::set_conditions(headers, None),
        Conditions::Stored(hit) => cache::set_conditions(headers, Some(hit)),
    }
    headers.append(header::VIA, gateway.via().clone());
    if tries.may_repeat() || call.below_levee {
        headers.insert(LEVEE_ATTEMPT, HeaderValue::from(number));
    }
    if let Some(credential) = credential {
        credential.inject(headers);
    }
    Ok(request)
}
