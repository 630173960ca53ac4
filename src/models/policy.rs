//! The compiled policy: what an upstream document means once read, every default filled in.
//!
//! These are plain values. `models::document` makes them from YAML and refuses what contradicts; the gateway
//! only reads them. Durations are `std::time::Duration`, sizes bytes, ratios 0.0 to 1.0.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

/// Who may call.
mod access;
/// What is added to prove who calls.
mod credentials;
/// How many attempts in a while.
mod quota;

pub use access::{Access, Allow, Pattern};
pub use credentials::{Credentials, OAuth2};
pub use quota::{OnExhausted, OnStoreLoss, Quota, Rate, Scope};

/// A registered HTTP API with everything the data plane needs to call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// `[a-z0-9-]`, at most 63 characters (dots allowed only for a namespace prefix).
    pub name: String,
    /// Where it lives.
    pub url: BaseUrl,
    /// The team that answers for it, shown to operators.
    pub owner: Option<String>,
    /// The policy of calls that match no operation.
    pub policy: Policy,
    /// Parts with their own policy; the first match wins.
    pub operations: Vec<Operation>,
    /// Narrows the deployer's allowed private ranges; `None` leaves them as they are.
    pub allow_cidrs: Option<Vec<IpNet>>,
    /// How to trust it.
    pub tls: Tls,
    /// Who may call it.
    pub access: Access,
    /// What Levee adds so that it lets us in.
    pub credentials: Option<Credentials>,
    /// File and line the document came from, for messages; `api` when it came over the API.
    pub origin: String,
    /// The document's `spec` as it was given.
    pub spec: Arc<serde_json::Value>,
}

/// Scheme, authority and path prefix of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https` rather than `http`.
    pub https: bool,
    /// Host name or literal address as written, lower case, IPv6 without brackets.
    pub host: String,
    /// Explicit or the scheme's default.
    pub port: u16,
    /// Path without a trailing slash: empty or `/v1`.
    pub path: String,
}

/// Trust anchors for an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM of the certificates to trust instead of the system's roots.
    pub ca: Option<String>,
}

/// A part of an upstream, matched by method and path template.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for one block that may be given")]
pub struct Operation {
    /// Unique within the upstream.
    pub name: String,
    /// Methods it matches; empty means any.
    pub methods: Vec<Method>,
    /// Path template below the upstream's `url`.
    pub path: PathTemplate,
    /// The effective policy: the upstream's, with the blocks this operation gives replaced as a whole.
    pub policy: Policy,
    /// It gave a `breaker` block, so it has a breaker of its own.
    pub own_breaker: bool,
    /// It gave a `concurrency` block, so it has bulkheads of its own.
    pub own_concurrency: bool,
    /// It gave a `retry` block, so it has a retry budget of its own.
    pub own_retry: bool,
    /// It gave a `quota` block, so it counts for itself.
    pub own_quota: bool,
}

/// `/quotes/{id}` as segments; a last segment `**` matches the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    /// As written.
    pub text: String,
    /// Its segments.
    pub segments: Vec<Segment>,
}

/// One segment of a path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly these bytes.
    Literal(String),
    /// Any one non-empty segment: `{name}`.
    Any,
    /// Zero or more segments, last only: `**`.
    Rest,
}

/// The resilience settings of an upstream or operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Time limits.
    pub timeout: Timeouts,
    /// When and how to try again.
    pub retry: Retry,
    /// When to stop calling.
    pub breaker: Breaker,
    /// How many at once.
    pub concurrency: Concurrency,
    /// How many in a while, where that is limited.
    pub quota: Option<Quota>,
    /// What may be answered from memory.
    pub cache: Cache,
    /// What answers when the upstream cannot.
    pub fallback: Fallback,
    /// Request headers to set and remove on the way to the upstream.
    pub headers: HeaderRules,
    /// Body limits.
    pub limits: Limits,
}

/// Time limits of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Until response headers go to the caller.
    pub total: Duration,
    /// One exchange, to its headers. `None`: min(10 s, total) where the call can be retried, else the total.
    pub attempt: Option<Duration>,
    /// DNS, TCP and TLS.
    pub connect: Duration,
    /// Longest silence inside a body, either way.
    pub idle_body: Duration,
    /// Longest a response body may take as a whole, when given.
    pub body: Option<Duration>,
}

/// What went wrong with one attempt, in the words of `retry.on`, `breaker.failOn` and `fallbackOn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// `connect_failure`: nothing was sent (DNS, TCP, TLS, refused stream).
    ConnectFailure,
    /// `reset`: the connection broke, or spoke no valid HTTP, before response headers.
    Reset,
    /// `timeout`: the attempt's or the call's time ran out.
    Timeout,
    /// `circuit_open` (only `fallbackOn`).
    CircuitOpen,
    /// `quota_exhausted` (only `fallbackOn`).
    QuotaExhausted,
    /// `overloaded`: a bulkhead of the upstream was full (only `fallbackOn`).
    Overloaded,
}

/// When and how to try again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included; 1 is off.
    pub attempts: u32,
    /// Causes worth another attempt.
    pub on: Vec<Cause>,
    /// Statuses worth another attempt.
    pub statuses: Vec<StatusCode>,
    /// Methods that may be retried.
    pub methods: RetryMethods,
    /// The upstream honours `Idempotency-Key`, so POST and PATCH with one may be retried.
    pub idempotency_key_honoured: bool,
    /// First backoff step.
    pub base: Duration,
    /// Longest backoff.
    pub cap: Duration,
    /// First backoff step after 429 or 503.
    pub throttled_base: Duration,
    /// Retries allowed as a share of calls, 0 to 100.
    pub budget_percent: f64,
    /// Retries per second always allowed.
    pub budget_min_per_second: f64,
    /// What the budget looks back on.
    pub budget_window: Duration,
    /// Largest request body held for another attempt, bytes.
    pub max_body: u64,
}

/// Which methods may be retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryMethods {
    /// GET, HEAD, OPTIONS, PUT, DELETE (RFC 9110 section 9.2.2).
    Idempotent,
    /// Exactly these.
    Listed(Vec<Method>),
}

/// When to stop calling an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Breaker {
    /// What is looked back on.
    pub window: Window,
    /// No verdict below this many calls in the window.
    pub minimum_calls: u32,
    /// Share of failures that opens.
    pub failure_rate: f64,
    /// Causes that count as failures.
    pub fail_on: Vec<Cause>,
    /// Statuses that count as failures.
    pub fail_statuses: Vec<StatusCode>,
    /// Transport failures in a row that open; 0 is off.
    pub consecutive_failures: u32,
    /// Slow calls, when given.
    pub slow_call: Option<SlowCall>,
    /// First open period.
    pub open_base: Duration,
    /// Longest open period.
    pub open_cap: Duration,
    /// Probes admitted, and good probes needed, in half-open.
    pub probes: u32,
    /// Whether it acts.
    pub mode: BreakerMode,
    /// Whether enough other replicas' evidence opens it.
    pub adopt: bool,
}

/// What the breaker looks back on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The calls of the last while.
    Duration(Duration),
    /// The last so many calls.
    Calls(u32),
}

/// A call slower than the threshold is slow; too large a share of slow calls opens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowCall {
    /// Slower than this is slow.
    pub threshold: Duration,
    /// Share of slow calls that opens.
    pub rate: f64,
}

/// Whether the breaker acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerMode {
    /// It opens and closes by itself.
    Auto,
    /// It admits everything and says what it would have done.
    MetricsOnly,
}

/// How many calls at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// Attempts in flight.
    pub limit: usize,
    /// Attempts waiting for a seat.
    pub queue: usize,
    /// Longest wait for a seat.
    pub queue_timeout: Duration,
    /// Calls in flight for one caller.
    pub per_caller: usize,
}

/// What may be answered from memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Whose word counts.
    pub mode: CacheMode,
    /// Freshness in `override` mode.
    pub ttl: Option<Duration>,
    /// Serve stale while one refresh runs; `None` follows the response's own directive.
    pub stale_while_revalidate: Option<Duration>,
    /// One copy for all callers.
    pub shared: bool,
    /// Statuses that are cached as negative answers.
    pub negative: Vec<NegativeAnswer>,
    /// Query parameters left out of the key.
    pub query_ignore: Vec<String>,
    /// Sort the query by name, stably, in the key.
    pub query_sort: bool,
    /// Request headers that join the key beside the response's `Vary`.
    pub vary: Vec<HeaderName>,
    /// Largest body kept, bytes.
    pub max_object: u64,
    /// What answers can be purged by, beside the tags they name themselves.
    pub tags: Vec<String>,
}

/// Whose word counts for freshness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheMode {
    /// The response's (RFC 9111), without heuristics.
    Respect,
    /// Nobody's: nothing is cached, nothing coalesced.
    Off,
    /// The policy's `ttl`.
    Override,
}

/// One status that is remembered although it is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NegativeAnswer {
    /// The status.
    pub status: StatusCode,
    /// For how long.
    pub ttl: Duration,
}

/// What answers when the upstream cannot.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    /// Tried in order; the first that can answer wins.
    pub steps: Vec<FallbackStep>,
    /// Causes that set it going.
    pub on: Vec<Cause>,
    /// The upstream's own statuses that set it going.
    pub statuses: Vec<StatusCode>,
}

/// One step of a fallback chain.
#[derive(Debug, Clone, PartialEq)]
pub enum FallbackStep {
    /// A stored answer at most this much past its freshness.
    Stale {
        /// How far past.
        max_age: Duration,
    },
    /// Another upstream, under its own policy.
    Upstream {
        /// Its name.
        name: String,
    },
    /// A fixed document.
    Static {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// Its body, at most 64 KiB.
        body: bytes::Bytes,
    },
}

/// Request headers to change on the way to the upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Set, replacing what the caller sent.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Removed.
    pub remove: Vec<HeaderName>,
}

/// Body limits, bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body.
    pub request: u64,
    /// Largest response body, when given.
    pub response: Option<u64>,
}

impl BaseUrl {
    /// `https://host:port`, the port always written: what a secret is bound to.
    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{scheme}://{open}{}{close}:{}", self.host, self.port)
    }

    /// `host` or `host:port`, the port left out where it is the scheme's own; IPv6 in brackets.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default_port = if self.https { 443 } else { 80 };
        if self.port == default_port { host } else { format!("{host}:{}", self.port) }
    }
}
