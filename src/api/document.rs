//! The OpenAPI document: what the handlers say of themselves, shaped so that linters accept it and generators make
//! working clients of it. Only the shaped document is ever served, printed or committed.

use poem_openapi::{ContactObject, ExtraHeader, LicenseObject, ServerObject};
use serde_json::Value;

use super::{json, upstreams};
use crate::error::{PROBLEM_BASE_URL, ProblemType};

mod shape;

/// What to print the document as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Indented JSON.
    Json,
    /// YAML.
    Yaml,
}

/// The shaped document. It describes types, so it needs nothing that runs, and is the same at every call.
pub fn document() -> Value {
    let mut raw = json::parse(raw_text().as_bytes())
        .expect("tests build this same document and find no key twice in it");
    upstreams::describe(&mut raw);
    shape::shape(raw)
}

/// The shaping alone, for tests of resources of their own.
#[cfg(test)]
pub(super) fn shape_for_tests(raw: &str) -> Value {
    shape::shape(json::parse(raw.as_bytes()).expect("a test's resource is described once"))
}

/// The document as text, with a line end at its end.
pub fn render(document: &Value, format: Format) -> String {
    match format {
        Format::Json => format!("{document:#}\n"),
        Format::Yaml => yaml_serde::to_string(document).expect("a JSON value is a YAML value"),
    }
}

/// What poem-openapi makes of the handlers.
fn raw_text() -> String {
    super::service()
        .description(description())
        .contact(ContactObject::new().name("Levee").url("https://levee.dev"))
        .license(LicenseObject::new("MIT OR Apache-2.0").url("https://www.apache.org/licenses/LICENSE-2.0"))
        .server(ServerObject::new("/").description("The origin this document was read from"))
        .extra_response_header::<RequestIdHeader, _>(
            ExtraHeader::new("X-Request-Id")
                .description("The caller's `X-Request-Id` if it was sane, otherwise a new one."),
        )
        .spec()
}

type RequestIdHeader = String;

/// The text at the top, with what the document's structure cannot say: the data plane and the problem types.
fn description() -> String {
    let row = |problem: &ProblemType| {
        format!("| `{}` | {} | {} |\n", problem.slug(), problem.status(), problem.title())
    };
    let rows: String = ProblemType::ALL.iter().map(row).collect();
    format!(
        "{INTRODUCTION}\n\
         ## Problems\n\n\
         Whatever Levee itself refuses, on either plane, is answered as `application/problem+json` (RFC 9457) with a\n\
         stable `type`: `{PROBLEM_BASE_URL}` and one of these.\n\n\
         | type | status | title |\n| --- | --- | --- |\n{rows}"
    )
}

const INTRODUCTION: &str = include_str!("document/introduction.md");

#[cfg(test)]
mod tests;
