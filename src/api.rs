//! The control plane's API: one file per resource, wire types here and nowhere else, and the document that describes it.

use poem::endpoint::make_sync;
use poem::{Endpoint, EndpointExt, Response, Route, get};
use poem_openapi::{OpenApiService, Tags};

use self::document::Format;
use self::payload::Schemas;
use self::problems::Problems;
use crate::services::audit::AuditService;
use crate::services::auth::AuthService;
use crate::services::breakers::BreakersService;
use crate::services::credentials::CredentialsService;
use crate::services::health::HealthService;
use crate::services::purges::PurgesService;
use crate::services::registrations::RegistrationsService;
use crate::services::service_accounts::ServiceAccountsService;
use crate::services::users::UsersService;

/// The OpenAPI document we serve, print and commit.
pub mod document;

mod answers;
mod audit;
mod auth;
mod breakers;
mod cache;
mod credentials;
mod docs;
mod error;
mod health;
mod json;
mod keys;
mod lasting;
mod pagination;
mod payload;
mod precondition;
mod problems;
mod roles;
mod security;
mod service_accounts;
mod upstreams;
mod users;

/// Where the keys are published that verify our access tokens.
const KEY_SET: &str = "/.well-known/jwks.json";

/// What the API stands on. Handlers take the one they need as an argument, so that the document needs none of them.
pub struct Services {
    /// Signs in and out.
    pub auth: AuthService,
    /// Manages users.
    pub users: UsersService,
    /// Manages service accounts and keys.
    pub service_accounts: ServiceAccountsService,
    /// Registers upstreams.
    pub registrations: RegistrationsService,
    /// Keeps credentials.
    pub credentials: CredentialsService,
    /// Reads and forces the breakers.
    pub breakers: BreakersService,
    /// Purges what is cached.
    pub purges: PurgesService,
    /// Reads the audit list.
    pub audit: AuditService,
    /// Reads the health of this process.
    pub health: HealthService,
}

/// Serves `/api/v1/…`, `/openapi.json`, `/openapi.yaml` and `/docs`; anything else is a 404 problem. It never returns an error:
/// whatever goes wrong inside is answered as `application/problem+json`. Wrap it in
/// [`middleware::control_plane`](crate::middleware::control_plane), from whose `X-Request-Id` problems take their instance.
pub fn routes(services: Services) -> impl Endpoint<Output = Response> {
    let document = document::document();
    let problems = Problems::new(&document, read_only());
    let routes = Route::new()
        .at("/openapi.json", get(printed(document::render(&document, Format::Json), "application/json")))
        .at("/openapi.yaml", get(printed(document::render(&document, Format::Yaml), "application/yaml")))
        .at(KEY_SET, get(printed(services.auth.jwks().to_string(), "application/json")))
        .nest("/", service());
    let routes = docs::mount(routes);
    let routes = routes
        .data(Schemas::of(&document))
        .data(services.auth)
        .data(services.users)
        .data(services.service_accounts)
        .data(services.registrations)
        .data(services.credentials)
        .data(services.breakers)
        .data(services.purges)
        .data(services.audit)
        .data(services.health);
    problems.around(routes.boxed())
}

/// The template of every path served, for logs and metrics to name requests by.
pub fn templates() -> Vec<String> {
    let document = document::document();
    let described = document["paths"].as_object().into_iter().flatten().map(|(path, _)| path.clone());
    described.chain(read_only().map(str::to_owned)).collect()
}

/// What is served outside the document, all of it only to be read.
fn read_only() -> impl Iterator<Item = &'static str> {
    ["/openapi.json", "/openapi.yaml", KEY_SET].into_iter().chain(docs::PATHS)
}

fn printed(text: String, content_type: &'static str) -> impl Endpoint<Output = Response> {
    make_sync(move |_| Response::builder().content_type(content_type).body(text.clone()))
}

type Resources = (
    auth::AuthApi,
    users::UsersApi,
    service_accounts::ServiceAccountsApi,
    keys::KeysApi,
    upstreams::UpstreamsApi,
    credentials::CredentialsApi,
    breakers::BreakersApi,
    cache::CacheApi,
    audit::AuditApi,
    health::HealthApi,
);

fn service() -> OpenApiService<Resources, ()> {
    let resources = (
        auth::AuthApi,
        users::UsersApi,
        service_accounts::ServiceAccountsApi,
        keys::KeysApi,
        upstreams::UpstreamsApi,
        credentials::CredentialsApi,
        breakers::BreakersApi,
        cache::CacheApi,
        audit::AuditApi,
        health::HealthApi,
    );
    OpenApiService::new(resources, "Levee", env!("CARGO_PKG_VERSION"))
}

/// What operations are grouped by.
#[derive(Tags)]
#[oai(rename_all = "snake_case")]
enum Group {
    /// Signing in and out, and the own account.
    Auth,
    /// People who sign in.
    Users,
    /// Programs that call, and their API keys.
    ServiceAccounts,
    /// The APIs that are called, their history, and their credentials.
    Upstreams,
    /// What the circuit breakers are doing, and forcing them.
    Breakers,
    /// Purging what is cached.
    Cache,
    /// Who changed what, when.
    Audit,
    /// Whether Levee serves.
    Health,
}
