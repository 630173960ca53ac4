//! The control plane's API: one file per resource, wire types here and nowhere else, and the document that describes it.

use poem::endpoint::make_sync;
use poem::{Endpoint, Response, Route, get};
use poem_openapi::{OpenApiService, Tags};

use self::document::Format;
use self::problems::Problems;
use crate::services::breakers::BreakersService;
use crate::services::health::HealthService;

/// The OpenAPI document we serve, print and commit.
pub mod document;

mod breakers;
mod error;
mod health;
mod pagination;
mod payload;
mod problems;

/// What the API stands on.
pub struct Services {
    /// Reads the breakers.
    pub breakers: BreakersService,
    /// Reads the health of this process.
    pub health: HealthService,
}

/// Serves `/api/v1/…`, `/openapi.json` and `/openapi.yaml`; anything else is a 404 problem. It never returns an error:
/// whatever goes wrong inside is answered as `application/problem+json`. Wrap it in
/// [`middleware::control_plane`](crate::middleware::control_plane), from whose `X-Request-Id` problems take their instance.
pub fn routes(services: Services) -> impl Endpoint<Output = Response> {
    let document = document::document();
    let problems = Problems::new(&document, ["/openapi.json", "/openapi.yaml"]);
    let routes = Route::new()
        .at("/openapi.json", get(printed(document::render(&document, Format::Json), "application/json")))
        .at("/openapi.yaml", get(printed(document::render(&document, Format::Yaml), "application/yaml")))
        .nest("/", service(services));
    problems.around(routes)
}

fn printed(text: String, content_type: &'static str) -> impl Endpoint<Output = Response> {
    make_sync(move |_| Response::builder().content_type(content_type).body(text.clone()))
}

type Resources = (breakers::BreakersApi, health::HealthApi);

fn service(services: Services) -> OpenApiService<Resources, ()> {
    let resources = (breakers::BreakersApi::new(services.breakers), health::HealthApi::new(services.health));
    OpenApiService::new(resources, "Levee", env!("CARGO_PKG_VERSION"))
}

/// What operations are grouped by.
#[derive(Tags)]
#[oai(rename_all = "snake_case")]
enum Group {
    /// What the circuit breakers are doing.
    Breakers,
    /// Whether Levee serves.
    Health,
}
