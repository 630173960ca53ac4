//! What handlers answer with besides a bare [`JsonBody`]: the same with the headers that belong to it, described in the
//! document.

use std::fmt::Display;

use poem::http::header::{CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use poem::http::{HeaderValue, StatusCode};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload as _;
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};

use super::payload::JsonBody;

/// An entity tag (RFC 9110 section 8.8.3): a version or revision in quotes. The client sends it back as `If-Match`.
struct EntityTag(HeaderValue);

impl EntityTag {
    /// Of a number.
    fn of(version: impl Display) -> Self {
        Self(HeaderValue::try_from(format!("\"{version}\"")).expect("a version is digits"))
    }
}

/// 200 with the state that is now in force and the entity tag that names it: the answer to reading and to changing.
pub(super) struct Tagged<T> {
    tag: EntityTag,
    body: T,
}

impl<T> Tagged<T> {
    /// `version` is the number `If-Match` will be compared with.
    pub(super) fn new(version: impl Display, body: T) -> Self {
        Self { tag: EntityTag::of(version), body }
    }
}

/// 201 with what was created, where it is, and the entity tag of what can be changed later.
pub(super) struct Created<T> {
    location: String,
    tag: Option<EntityTag>,
    body: T,
}

impl<T> Created<T> {
    /// `location` is a path on this host, such as `/api/v1/users/{id}`, that GET answers.
    pub(super) fn new(location: String, body: T) -> Self {
        Self { location, tag: None, body }
    }

    /// The same for what `If-Match` guards.
    pub(super) fn tagged(location: String, version: impl Display, body: T) -> Self {
        Self { location, tag: Some(EntityTag::of(version)), body }
    }
}

/// 204: it is done, and there is nothing to say about it.
pub(super) struct NoContent;

impl<T: ToJSON> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = JsonBody(self.body).into_response();
        response.headers_mut().insert(ETAG, self.tag.0);
        response
    }
}

impl<T: ToJSON> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = JsonBody(self.body).into_response();
        response.set_status(StatusCode::CREATED);
        // A name in it may be anything a URL may be; what is no header value would be a fault of ours.
        let location = HeaderValue::try_from(self.location).ok();
        response.headers_mut().extend(location.map(|location| (LOCATION, location)));
        response.headers_mut().extend(self.tag.map(|tag| (ETAG, tag.0)));
        response
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().remove(CONTENT_TYPE);
        response
    }
}

impl<T: ToJSON> ApiResponse for Tagged<T> {
    fn meta() -> MetaResponses {
        let tag = header(&ETAG, "Names this state; send it as `If-Match` to change it.");
        described::<T>(200, "The state that is in force.", vec![tag])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ToJSON> ApiResponse for Created<T> {
    fn meta() -> MetaResponses {
        let location = header(&LOCATION, "Where it is.");
        let tag = header(&ETAG, "Names this state, where `If-Match` guards it.");
        let tag = MetaHeader { required: false, ..tag };
        described::<T>(201, "What was created.", vec![location, tag])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl ApiResponse for NoContent {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "It is done.",
            status: Some(204),
            status_range: None,
            content: vec![],
            headers: vec![],
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_registry: &mut Registry) {}
}

fn described<T: Type>(status: u16, description: &'static str, headers: Vec<MetaHeader>) -> MetaResponses {
    let content =
        MetaMediaType { content_type: JsonBody::<T>::CONTENT_TYPE, schema: JsonBody::<T>::schema_ref() };
    let response = MetaResponse {
        description,
        status: Some(status),
        status_range: None,
        content: vec![content],
        headers,
    };
    MetaResponses { responses: vec![response] }
}

fn header(name: &HeaderName, description: &str) -> MetaHeader {
    MetaHeader {
        name: name.as_str().to_uppercase(),
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_created_says_where_it_is_and_in_which_state() {
        let response = Created::tagged("/api/v1/users/7".to_owned(), 1, "x".to_owned()).into_response();
        assert_eq!(response.status(), 201);
        assert_eq!(response.header(LOCATION), Some("/api/v1/users/7"));
        assert_eq!(response.header(ETAG), Some("\"1\""));
        assert_eq!(response.content_type(), Some("application/json"));
        let untagged = Created::new("/k".to_owned(), "x".to_owned()).into_response();
        assert_eq!((untagged.status().as_u16(), untagged.header(ETAG)), (201, None));
    }

    #[tokio::test]
    async fn no_content_has_neither_a_type_nor_a_body() {
        let response = NoContent.into_response();
        assert_eq!((response.status().as_u16(), response.header(CONTENT_TYPE)), (204, None));
        assert!(response.into_body().into_bytes().await.unwrap().is_empty());
    }
}
