//! `/upstreams/{name}/credentials`: set and forgotten, never read back.

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use secrecy::SecretString;

use super::Group;
use super::answers::NoContent;
use super::error::ApiError;
use super::payload::JsonBody;
use super::precondition::MayMatch;
use super::security::Admin;
use crate::services::credentials::CredentialsService;

/// The operations.
pub(super) struct CredentialsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Upstreams")]
impl CredentialsApi {
    /// Set an upstream's secret
    ///
    /// It goes where the document's `credentials` say, and only there: when the origin changes, or the header it goes into,
    /// it is detached until it is set again. It is sealed at once and can never be read back. The upstream may come from a
    /// file.
    #[oai(path = "/upstreams/:name/credentials", method = "put", operation_id = "put_upstream_credentials")]
    async fn put(
        &self,
        admin: Admin,
        service: Data<&CredentialsService>,
        /// The upstream's name.
        #[oai(name = "name")]
        name: Path<String>,
        /// The `ETag` of the document you read: 412, and nothing is set, when it was changed since.
        #[oai(name = "If-Match")]
        if_match: MayMatch,
        body: JsonBody<UpstreamCredentials>,
    ) -> Result<NoContent, ApiError> {
        let (actor, secret) = (admin.0.actor.clone(), SecretString::from(body.0.secret));
        service.put(&admin.0.principal, actor, name.0, secret, if_match.revision()).await?;
        Ok(NoContent)
    }

    /// Forget an upstream's secret
    ///
    /// Its calls are refused from then on, as far as its document asks for a secret.
    #[oai(
        path = "/upstreams/:name/credentials",
        method = "delete",
        operation_id = "delete_upstream_credentials"
    )]
    async fn delete(
        &self,
        admin: Admin,
        service: Data<&CredentialsService>,
        /// The upstream's name.
        #[oai(name = "name")]
        name: Path<String>,
    ) -> Result<NoContent, ApiError> {
        service.delete(&admin.0.principal, admin.0.actor.clone(), name.0).await?;
        Ok(NoContent)
    }
}

/// A secret to be kept.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct UpstreamCredentials {
    /// The key, password or client secret.
    #[oai(write_only, validator(min_length = 1, max_length = 8192))]
    secret: String,
}
