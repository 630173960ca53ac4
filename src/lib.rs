//! Levee is the one place through which a company's services call everybody else's HTTP APIs.
//!
//! # Bird's eye
//!
//! A caller asks `http://levee/proxy/{upstream}/…` with its ordinary HTTP client. Levee finds the upstream in an
//! immutable [snapshot](gateway::snapshot), takes the call through the stages of the upstream's policy, and answers
//! with the upstream's own response, a stored one, a fallback, or a problem of its own; headers say which and why.
//! Upstreams come from files, which are watched, from a Kubernetes cluster, whose custom resources are, and from the control
//! plane's API, which keeps them in SQLite or PostgreSQL with users, service accounts, keys, sealed credentials and an
//! audit list. There are three listeners: calls, the control plane, and health with metrics.
//!
//! # Code map
//!
//! In the order to read them; the table of who may import whom is `tests/it/tidy/imports.rs`.
//!
//! | module | what it is | begin with |
//! | --- | --- | --- |
//! | [`gateway`] | the data plane: one file per stage; what replicas tell each other of their breakers | [`gateway::pipeline`], THE file; [`gateway::peers`] |
//! | [`cache`] | the rules of HTTP caching, the memory level, the level in Redis, the log of purges; values of our own in the same places | [`cache::HttpCache`] |
//! | [`models`] | upstream documents and their schema, the compiled policy, forbidden addresses | [`models::policy`], [`models::document`], [`models::document::schema`] |
//! | [`identity`] | passwords, tokens of ours and of other issuers, keys, sealed secrets, and the directory of who there is; no I/O | [`identity::directory`], [`identity::issuer`] |
//! | [`services`] | the control plane's rules; what files and the database say becomes the snapshot | [`services::publication`] |
//! | [`redis`] | the connection to Redis: limits, a breaker, connections that come back | [`redis::Redis`] |
//! | [`fleet`] | which replicas live | [`fleet::Fleet`] |
//! | [`repositories`] | SQL and nothing else, on SQLite and PostgreSQL | [`repositories::Store`] |
//! | [`controller`] | Upstreams of a Kubernetes cluster: watched by every replica, answered by the leader | [`controller::Controller`] |
//! | [`api`], [`middleware`] | the control plane over HTTP, and its OpenAPI document | [`api::routes`] |
//! | [`server`] | our accept loop, the wire guard, the drain; the ops port | [`server::Server`], [`server::ops`] |
//! | [`telemetry`] | logs, metrics and traces; the only place a metric's or a span's name is spelled. What is made of metrics lies in `dashboards/` | [`telemetry::metrics`], [`telemetry::traces`] |
//! | [`error`] | the failures every layer shares, and the table of problem types | [`error::ProblemType`] |
//! | [`config`], [`cli`] | settings, and one file per command | [`config::Settings`], [`cli::run`] |
//! | [`app`] | the composition root: builds everything, once, in order | [`app::App::start`] |
//!
//! # Invariants
//!
//! Each with the place that holds it.
//!
//! 1. No call waits for the control plane, the database or a file: the data plane imports [`models`], [`identity`] and
//!    [`cache`] and nothing above them (the import table), and reads one atomic pointer to find its upstream
//!    ([`gateway::Gateway::snapshot`]) and one to know its caller ([`identity::directory`]).
//! 2. What says who the caller is to Levee (a key or token of ours, its address, `Forwarded`, `X-Forwarded-*`, `Levee-*`) never reaches an
//!    upstream: the gateway's `hygiene`. Logs, metrics and traces hold no header, path or query of a call: `Record` in
//!    [`gateway::endpoint`], label values that are enumerations, and a route for a span's name.
//! 3. A permit is given back when its holder is dropped, be the call finished, cancelled or panicked: the breaker's
//!    [`Permit`](gateway::breaker::Permit), the [seats](gateway::bulkhead), the flight's `Lead`, and a
//!    [`Token`](gateway::quota::Token) that was not used. The first two travel with the response body.
//! 4. What Levee itself refuses never counts as an upstream's failure: the gateway's `attempt` settles as a failure
//!    only what was on the wire. A failure says whose it is where it arises ([`gateway::failure::Origin`]).
//! 5. Memory is bounded: the cache in bytes ([`cache::default_capacity`]), what waits for Redis in number and bytes, queues by the policy
//!    ([`gateway::bulkhead`]) or [`gateway::quota::LINE`], a flight by 4096 waiters and the policy's `maxObject`, bodies held for a retry by its
//!    `maxBody`, connections and request heads by [`server::Limits`], labels by enumeration and a cap of upstreams.
//! 6. A new snapshot takes effect for new calls at once and disturbs none in flight: a call holds the
//!    [`Live`](gateway::snapshot::Live) upstream it began with.
//! 7. A bad file changes nothing: the whole set is checked before any of it is published
//!    ([`services::publication::Publisher::load`]).
//! 8. The address that was checked is the one that is dialled: the transport's `dial`, over
//!    [`models::address::refuse`].
//!
//! # A call
//!
//! 1. [`server::Server`] accepts the connection. The wire guard lets whole, unambiguous HTTP/1 request heads through
//!    and answers the others.
//! 2. [`server::planes`] branches on the raw path: below `/proxy/` it is a call.
//! 3. [`gateway::access`] tells who calls, takes out what proved it, and asks the upstream's list. Then
//!    [`gateway::endpoint`] refuses what cannot be a call (a dot segment, an upgrade, a loop), finds the operation, cleans
//!    the headers, and makes a [`Call`](gateway::call::Call) with its [`Deadline`](gateway::deadline::Deadline).
//! 4. [`gateway::pipeline::run`] asks the cache. A miss that others could share is fetched by one flight in a task of
//!    its own, on one replica of the fleet at a time; everything else stays in the caller's task.
//! 5. [`gateway::pipeline::reach`] takes the caller's seat and makes attempts for as long as
//!    [`Tries::judge`](gateway::retry::Tries::judge) and the [`Budget`](gateway::budget::Budget) allow. Each attempt
//!    asks the [`Breaker`](gateway::breaker::Breaker), takes a token of the [`Quota`](gateway::quota::Quota) and a seat of
//!    the upstream, and sends over the [`Transport`](gateway::transport::Transport).
//! 6. Where that brought no good answer, the fallback chain looks for one: a stale copy, another upstream, a fixed
//!    document.
//! 7. [`Answer::explain`](gateway::answer::Answer::explain) writes the headers that say why. The body streams, holding
//!    the attempt's permit and seats to its end.
//!
//! # An upstream's change
//!
//! 1. [`Publisher::watch`](services::publication::Publisher::watch) sees, within a quarter of a second, that a file is
//!    another one, or within half a second that the database's revision is. The [`Controller`](controller::Controller) hears
//!    of a custom resource at once; one that is wrong keeps its last good version in force and is told so in its status.
//! 2. [`models::document::read_documents`] reads every document and names each fault by line and field;
//!    [`models::document::check_together`] judges the set: repeated names, fallbacks to nobody or in a circle.
//! 3. Any fault: it is logged, shown in `/status`, counted, and nothing else happens.
//! 4. None: [`Snapshot::compile`](gateway::snapshot::Snapshot::compile) builds the next snapshot. It keeps what has
//!    memory (breaker, seats, quota, budget, connections) wherever the settings that shaped it are the same.
//! 5. [`Gateway::publish`](gateway::Gateway::publish) lets new calls see it.

/// The data plane: calls through `/proxy`.
pub mod gateway;
/// Proofs and secrets.
pub mod identity;

/// What may be answered from memory.
pub mod cache;

/// Values and their invariants: documents, policies, addresses.
pub mod models;

/// What replicas share.
pub mod redis;

/// Replicas, and what they know of each other.
pub mod fleet;

/// What is kept.
pub mod repositories;
/// The control plane's rules, in plain values.
pub mod services;

/// Upstreams of a Kubernetes cluster.
pub mod controller;

/// The control plane over HTTP.
pub mod api;

/// What wraps the control plane's answers.
pub mod middleware;

/// Listeners, connections, the drain, the ops port.
pub mod server;

/// Logs, metrics and traces.
pub mod telemetry;

/// The failures every layer shares.
pub mod error;

/// Settings.
pub mod config;

/// The command line.
pub mod cli;

/// Builds everything and takes it down again.
pub mod app;

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The git revision it was built from, `unknown` outside a clone.
pub const REVISION: &str = env!("LEVEE_GIT_REVISION");
