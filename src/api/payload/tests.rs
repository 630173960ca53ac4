//! Tests of reading a body, with a resource made for them.

use poem::http::StatusCode;
use poem::{Body, Endpoint, EndpointExt};
use poem_openapi::{Object, OpenApi, OpenApiService};

use super::*;
use crate::api::document::shape_for_tests;
use crate::api::problems::Problems;

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewThing {
    #[oai(validator(min_length = 1, max_length = 8))]
    name: String,
    #[oai(validator(minimum(value = "1")))]
    size: Option<u32>,
}

#[derive(Object)]
struct Thing {
    name: String,
    size: Option<u32>,
}

struct Things;

#[OpenApi]
impl Things {
    #[oai(path = "/things", method = "post", operation_id = "create_thing")]
    #[expect(clippy::unused_async, reason = "the macro awaits every handler")]
    async fn create(&self, new: JsonBody<NewThing>) -> Result<JsonBody<Thing>, ApiError> {
        Ok(JsonBody(Thing { name: new.0.name, size: new.0.size }))
    }
}

async fn sent(content_type: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let service = OpenApiService::new(Things, "things", "1");
    let document = shape_for_tests(&service.spec());
    let schemas = Schemas::of(&document);
    let endpoint = Problems::new(&document, []).around(service.data(schemas));
    let request = Request::builder()
        .method(poem::http::Method::POST)
        .uri_str("/things")
        .header(CONTENT_TYPE, content_type)
        .body(body);
    let response = endpoint.get_response(request).await;
    (response.status(), response.into_body().into_json().await.unwrap())
}

async fn pointers(body: &str) -> Vec<String> {
    let (status, told) = sent("application/json", body.to_owned()).await;
    assert_eq!(status, 400, "{told}");
    let faults = told["errors"].as_array().unwrap();
    faults.iter().map(|fault| fault["pointer"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_body_as_the_document_says_arrives() {
    for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
        let (status, thing) = sent(content_type, r#"{"name":"bolt","size":4}"#).await;
        assert_eq!((status.as_u16(), &thing["name"], &thing["size"]), (200, &"bolt".into(), &4.into()));
    }
}

#[tokio::test]
async fn every_wrong_field_is_pointed_at() {
    assert_eq!(pointers(r#"{"name":7,"size":0,"colour":"red"}"#).await, ["/colour", "/name", "/size"]);
    assert_eq!(pointers("{}").await, ["/name"]);
    assert_eq!(pointers("[]").await, [""]);
    assert_eq!(pointers("").await, [""]);
    assert_eq!(pointers(r#"{"name":"a","name":"b"}"#).await, ["/name"]);
    // The document does not say that a number may be absent as `null`.
    assert_eq!(pointers(r#"{"name":"a","size":null}"#).await, ["/size"]);
}

#[tokio::test]
async fn another_content_type_is_refused_unread() {
    for content_type in ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", ""] {
        let (status, told) = sent(content_type, r#"{"name":"bolt"}"#).await;
        assert_eq!(status, 415, "{content_type}");
        assert_eq!(told["type"], "https://levee.dev/problems/unsupported-media-type");
    }
}

#[tokio::test]
async fn bytes_are_counted_whatever_was_promised() {
    let fits = format!(r#"{{"name":"bolt"{}}}"#, " ".repeat(MOST - 15));
    assert_eq!(fits.len(), MOST);
    assert_eq!(sent("application/json", fits.clone()).await.0, 200);
    let pieces = [fits, " ".to_owned()].map(|piece| Ok::<_, std::io::Error>(piece.into_bytes()));
    let chunked = Body::from_bytes_stream(futures_util::stream::iter(pieces));
    let (status, told) = sent("application/json", chunked).await;
    assert_eq!(status, 413);
    assert_eq!(told["type"], "https://levee.dev/problems/payload-too-large");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_callers_fault() {
    let pieces = [Ok(b"{".to_vec()), Err(std::io::Error::other("gone"))];
    let broken = Body::from_bytes_stream(futures_util::stream::iter(pieces));
    assert_eq!(sent("application/json", broken).await.0, 400);
}
