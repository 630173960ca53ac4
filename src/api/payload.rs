//! The bodies the API reads and answers with.

use poem::http::header::CONTENT_TYPE;
use poem::{IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry,
};
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};

use super::error::ApiError;
use crate::error::Failure;

/// Most bytes of a request's body.
const MOST: usize = 1 << 20;

/// A JSON body whose content type has no `charset` (RFC 8259 section 11 defines none, and generators trip over it).
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
        let essence = request.content_type().and_then(|text| text.split(';').next()).map(str::trim);
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case(Self::CONTENT_TYPE)) {
            let failure = Failure::unsupported_media_type("Send the body as application/json.");
            return Err(ApiError(failure).into());
        }
        let bytes =
            body.take()?.into_bytes_limit(MOST).await.map_err(|_| {
                ApiError(Failure::too_large(format!("The body may have at most {MOST} bytes.")))
            })?;
        let parsed = serde_json::from_slice(&bytes).map_err(|error| error.to_string()).and_then(|value| {
            T::parse_from_json(Some(value)).map_err(poem_openapi::types::ParseError::into_message)
        });
        parsed.map(Self).map_err(|message| ApiError(Failure::invalid("", message)).into())
    }
}
