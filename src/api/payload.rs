//! The bodies the API reads and answers with.

use poem::error::ReadBodyError;
use poem::http::header::CONTENT_TYPE;
use poem::{IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry,
};
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde_json::Value;

use super::error::ApiError;
use super::json;
use crate::error::Failure;

pub(super) use self::schemas::Schemas;

mod schemas;

/// Most bytes of a request's body.
const MOST: usize = 1 << 20;

/// A JSON body whose content type has no `charset` (RFC 8259 section 11 defines none, and generators trip over it).
///
/// As a request it is judged by the published schema of `T` before `T` sees it, so a handler finds only what the document
/// allows: give fields their `validator(…)`, `Enum`s and formats, and every fault is answered with its pointer. What
/// no schema can say, the service says with [`Failure::invalid_at`] and the same pointers.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: Type> Payload for JsonBody<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ToJSON> IntoResponse for JsonBody<T> {
    fn into_response(self) -> Response {
        Response::builder().header(CONTENT_TYPE, Self::CONTENT_TYPE).body(self.0.to_json_string())
    }
}

impl<T: ToJSON> ApiResponse for JsonBody<T> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "What was asked for.",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let bytes = read(request, body).await.map_err(ApiError)?;
        let schemas = request.data::<Schemas>().cloned();
        Ok(Self(understand(&bytes, schemas.as_ref()).map_err(ApiError)?))
    }
}

/// All bytes of a JSON body. They are counted as they come: what `Content-Length` promises proves nothing, and a chunked
/// body promises nothing.
async fn read(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, Failure> {
    let essence = request.content_type().and_then(|text| text.split(';').next()).map(str::trim);
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(Failure::unsupported_media_type("Send the body as application/json."));
    }
    let too_large = || Failure::too_large(format!("The body may have at most {MOST} bytes."));
    let promised = request.header("content-length").and_then(|length| length.parse::<u64>().ok());
    if promised.is_some_and(|length| length > MOST as u64) {
        return Err(too_large());
    }
    let body = body.take().map_err(|_| Failure::internal("a second argument wants the body"))?;
    match body.into_bytes_limit(MOST).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(ReadBodyError::PayloadTooLarge) => Err(too_large()),
        Err(_) => Err(Failure::invalid("", "broke off before its end")),
    }
}

fn understand<T: ParseFromJSON>(bytes: &[u8], schemas: Option<&Schemas>) -> Result<T, Failure> {
    let value = json::parse(bytes).map_err(|fault| Failure::invalid_at(vec![fault]))?;
    let faults = schemas.and_then(|schemas| judge::<T>(&value, schemas));
    let faults = faults.ok_or_else(|| Failure::internal(format!("{} has no published schema", T::name())))?;
    if !faults.is_empty() {
        return Err(Failure::invalid_at(faults));
    }
    // The framework's own words repeat the value, which may be a secret.
    T::parse_from_json(Some(value))
        .map_err(|_| Failure::invalid("", "is not of the form that the API's document describes"))
}

fn judge<T: Type>(value: &Value, schemas: &Schemas) -> Option<Vec<crate::error::Fault>> {
    match T::schema_ref() {
        MetaSchemaRef::Reference(name) => schemas.judge(&name, value),
        MetaSchemaRef::Inline(_) => None,
    }
}

#[cfg(test)]
mod tests;
