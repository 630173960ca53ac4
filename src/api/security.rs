//! Who may use an operation: the first argument of every handler that is not public.

use poem::{FromRequest, Request, RequestBody, Result};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::error::ApiError;
use crate::error::Failure;
use crate::models::principal::{Actor, Principal, Role};
use crate::services::identity::{Identity, Visitor};

macro_rules! guards {
    ($($(#[$doc:meta])* $name:ident needs $role:expr, $scheme:literal;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) Signed);

        impl<'a> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                registry.create_security_scheme($scheme, scheme());
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![$scheme]
            }

            async fn from_request(
                request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> Result<Self> {
                Ok(Self(signed(request, $role).map_err(ApiError)?))
            }
        }
    )*};
}

// The scheme's name carries the role into the document, where the shaping step makes one scheme of them all.
guards! {
    /// Anybody who proved who it is, whatever it may do.
    SignedIn needs None, "levee:any";
    /// Who may read.
    Viewer needs Some(Role::Viewer), "levee:viewer";
    /// Who may change upstreams and breakers.
    Operator needs Some(Role::Operator), "levee:operator";
    /// Who may manage users, service accounts, keys and credentials.
    Admin needs Some(Role::Admin), "levee:admin";
}

/// Anybody, for what is public and noted all the same: how the audit list names whoever asks.
pub(super) struct Anyone(pub(super) Actor);

impl<'a> FromRequest<'a> for Anyone {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> Result<Self> {
        Ok(Self(request.data::<Visitor>().map_or_else(|| Actor::system("nobody"), Visitor::actor)))
    }
}

/// A caller that proved who it is.
pub(super) struct Signed {
    /// Who.
    pub(super) principal: Principal,
    /// The same for the audit list.
    pub(super) actor: Actor,
}

fn signed(request: &Request, needed: Option<Role>) -> Result<Signed, Failure> {
    let visitor = request.data::<Visitor>();
    let known = match visitor.map(|visitor| &visitor.identity) {
        Some(Identity::Known(known)) => known,
        Some(Identity::Refused(_)) => {
            return Err(Failure::unauthorized(
                "The credential is not valid, or is so no longer. Sign in again.",
            ));
        }
        Some(Identity::Anonymous) | None => {
            return Err(Failure::unauthorized(
                "Send an access token or an API key as `Authorization: Bearer …` or as `Levee-Key`.",
            ));
        }
    };
    let principal = Principal::clone(&known.principal);
    if let Some(role) = needed.filter(|role| !principal.may(*role)) {
        return Err(Failure::forbidden(format!("This needs the role {}.", role.as_str())));
    }
    let actor = visitor.map_or_else(|| Actor::system("nobody"), Visitor::actor);
    Ok(Signed { principal, actor })
}

fn scheme() -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "http",
        description: Some("An access token of `POST /api/v1/auth/login`, or an API key."),
        name: None,
        key_in: None,
        scheme: Some("bearer"),
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}
