//! What wraps the control plane's answers, whichever handler made them.

use poem::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use poem::middleware::SetHeader;
use poem::{Endpoint, EndpointExt, Response};

use self::identify::Identify;
use self::request_id::RequestId;
use crate::services::identity::IdentityService;

/// Who asks.
pub mod identify;
/// Counts by route.
pub mod measured;
/// A name for every request.
pub mod request_id;

/// Wraps the control plane: a request id outermost, so that everything inside can name the request it is about; then
/// headers that keep answers out of caches and of content sniffing.
pub fn control_plane<E: Endpoint + 'static>(
    endpoint: E,
    identity: IdentityService,
) -> impl Endpoint<Output = Response> {
    endpoint
        .with(Identify::new(identity))
        .with(
            SetHeader::new()
                .overriding(X_CONTENT_TYPE_OPTIONS, "nosniff")
                .overriding(CACHE_CONTROL, "no-store"),
        )
        .with(RequestId)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use poem::error::NotFoundError;
    use poem::{Error, Request, endpoint};

    use super::*;
    use crate::identity::directory::Authenticator;
    use crate::identity::ring::KeyRing;
    use crate::identity::token::Tokens;

    fn nobody() -> IdentityService {
        let ring = KeyRing::parse(&KeyRing::generate("test")).unwrap();
        IdentityService::new(Arc::new(Authenticator::new(Tokens::new(&ring))))
    }

    #[tokio::test]
    async fn every_answer_is_kept_out_of_caches_and_sniffing() {
        let wrapped = control_plane(endpoint::make_sync(|_| "fine"), nobody());
        let response = wrapped.get_response(Request::default()).await;
        assert_eq!(response.header(CACHE_CONTROL), Some("no-store"));
        assert_eq!(response.header(X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
    }

    #[tokio::test]
    async fn an_error_still_carries_the_request_id() {
        let wrapped =
            control_plane(endpoint::make_sync(|_| Err::<(), Error>(NotFoundError.into())), nobody());
        let response = wrapped.get_response(Request::default()).await;
        assert_eq!(response.status().as_u16(), 404);
        assert!(response.header(request_id::X_REQUEST_ID).is_some());
    }
}
