//! Poem on one side, a call on the other: reads a request of `/proxy/{upstream}/…`, refuses what cannot be a call,
//! and writes the answer with its explanation.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::combinators::BoxBody;
use poem::{Endpoint, Request, Response};
use tokio::time::Instant;
use uuid::Uuid;

use super::Gateway;
use super::access::{self, Denial};
use super::answer::{Answer, AnsweredBy, Trouble};
use super::call::{Call, Caller, Target, ruled};
use super::deadline::Deadline;
use super::hygiene::{self, Loop, UpgradeWish};
use super::outgoing::LEVEE_ATTEMPT;
use super::pipeline;
use super::snapshot::Live;
use super::upload::CallBody;
use crate::cache::CacheStatus;
use crate::error::ProblemType;
use crate::models::decode::quantity;
use crate::models::principal::Principal;
use crate::redis::Allowance;
use crate::telemetry::metrics::Outcome;
use crate::telemetry::traces::{CallEnd, Trace, Traces};

/// Where the data plane begins.
pub const PREFIX: &str = "/proxy/";

/// The data plane as a Poem endpoint. Every answer, refusals included, is a response: it never errs.
pub struct Proxy {
    gateway: Arc<Gateway>,
    traces: Traces,
}

impl Proxy {
    /// An endpoint over the gateway, whose calls are traced by `traces`.
    pub fn new(gateway: Arc<Gateway>, traces: Traces) -> Self {
        Self { gateway, traces }
    }

    /// Answers a request that came from `peer`.
    pub async fn answer(&self, request: Request, peer: Option<IpAddr>) -> Response {
        let id = new_call_id();
        let mut buffer = Uuid::encode_buffer();
        let id_text = &*id.hyphenated().encode_lower(&mut buffer);
        let trace = self.traces.call(request.headers(), request.method());
        let (call, body) = match admit(&self.gateway, request, peer, id, &trace) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.gateway.gatekeeper.metrics.refused_before_a_call(refusal.kind);
                let answer = refused(&refusal, id_text, &trace);
                trace.end_call(&end_of_refusal(&refusal, id_text, answer.status()));
                return answer;
            }
        };
        let live = Arc::clone(&call.live);
        let mut answer = answered(&self.gateway, call, body).await;
        answer.explain(id_text, Some(&live.upstream.name));
        respond(answer)
    }
}

/// A refusal of something that never became a call, with an id of its own for the log.
pub fn refusal(kind: ProblemType, detail: &str) -> Response {
    let refusal = Refusal { kind, detail: detail.to_owned(), challenge: None };
    refused(&refusal, &new_call_id().to_string(), &Trace::default())
}

fn refused(refusal: &Refusal, id: &str, trace: &Trace) -> Response {
    let Refusal { kind, detail, challenge } = refusal;
    let (kind, detail) = (*kind, detail.as_str());
    let mut answer = Answer::plain_problem(kind, detail, id);
    if let Some(challenge) = challenge {
        answer.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if kind == ProblemType::MethodNotAllowed {
        answer.headers.insert(header::ALLOW, HeaderValue::from_static(ALLOWED_METHODS));
    }
    answer.why.cache = Some(CacheStatus::aside());
    answer.explain(id, None);
    let trace_id = trace.recorded().map(tracing::field::display);
    tracing::debug!(call_id = id, problem = kind.slug(), detail, trace_id, "refused before any upstream");
    respond(answer)
}

fn end_of_refusal<'a>(refusal: &Refusal, id: &'a str, status: StatusCode) -> CallEnd<'a> {
    CallEnd {
        id,
        status: Some(status),
        outcome: Outcome::Refused,
        answer: AnsweredBy::Levee.as_str(),
        fallback: None,
        attempts: 0,
        error: Some(refusal.kind.slug()),
    }
}

const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl Endpoint for Proxy {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let peer = request.remote_addr().as_socket_addr().map(std::net::SocketAddr::ip);
        Ok(self.answer(request, peer).await)
    }
}

/// Runs the call and records how it ended, also when the caller leaves.
async fn answered(gateway: &Arc<Gateway>, call: Call, mut body: CallBody) -> Answer {
    let call = Arc::new(call);
    call.live.metrics.caller(call.caller.key, || call.caller_name().to_string());
    call.trace.goes_to(&call.live.upstream.name, call.lane.operation.as_deref());
    let mut record = Record { call: Arc::clone(&call), outcome: Outcome::Cancelled };
    let answer = pipeline::run(gateway, &call, &mut body).await;
    record.outcome = answer.outcome;
    if let Some(problem) = answer.problem {
        call.live.metrics.problem(problem);
    }
    record.log(&answer);
    record.end_span(Some(&answer));
    answer
}

struct Record {
    call: Arc<Call>,
    outcome: Outcome,
}

impl Record {
    /// One line for each call: what went well at `debug`, what did not at `info`.
    fn log(&self, answer: &Answer) {
        let call = &self.call;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    call_id = %call.id,
                    upstream = call.live.upstream.name,
                    operation = call.lane.operation.as_deref(),
                    caller = %call.caller_name(),
                    method = %call.method,
                    status = answer.status.as_u16(),
                    answer = answer.why.by.as_str(),
                    fallback = answer.why.fallback.as_deref(),
                    attempts = answer.why.attempts,
                    duration_ms = call.received.elapsed().as_millis() as u64,
                    trace_id = call.trace_name(),
                    "call"
                )
            };
        }
        match self.outcome {
            Outcome::Upstream | Outcome::Cache => line!(debug),
            _ => line!(info),
        }
    }

    fn end_span(&self, answer: Option<&Answer>) {
        let call = &self.call;
        if call.trace.recorded().is_none() {
            return;
        }
        let why = answer.map(|answer| &answer.why);
        let mut buffer = Uuid::encode_buffer();
        call.trace.end_call(&CallEnd {
            id: call.id.hyphenated().encode_lower(&mut buffer),
            status: answer.map(|answer| answer.status),
            outcome: self.outcome,
            answer: why.map_or("", |why| why.by.as_str()),
            fallback: why.and_then(|why| why.fallback.as_deref()),
            attempts: why.map_or(0, |why| why.attempts),
            error: why.and_then(|why| match why.trouble {
                Some(Trouble::Error(token)) => Some(token),
                Some(Trouble::Status(_)) | None => None,
            }),
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Self { call, outcome } = self;
        call.live.metrics.call(&call.method, *outcome, call.received.elapsed(), call.trace.recorded());
        // Where an answer has ended it already, this changes nothing.
        self.end_span(None);
    }
}

/// Why a request is no call.
struct Refusal {
    kind: ProblemType,
    detail: String,
    challenge: Option<&'static str>,
}

fn refuse<T>(kind: ProblemType, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { kind, detail: detail.into(), challenge: None })
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        let Denial { kind, detail, challenge } = denial;
        Self { kind, detail, challenge }
    }
}

/// Most header fields of a request, and most bytes of them, names and values together.
const MOST_FIELDS: usize = 100;
const MOST_HEADER_BYTES: usize = 64 * 1024;

fn admit(
    gateway: &Gateway,
    mut request: Request,
    peer: Option<IpAddr>,
    id: Uuid,
    trace: &Trace,
) -> Result<(Call, CallBody), Refusal> {
    let mut headers = std::mem::take(request.headers_mut());
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    // Strangers are not even told whether there is such an upstream.
    let (name, rest) = upstream_name(request.uri().path());
    let live = gateway.upstream(name);
    let upstream = live.as_ref().map(|live| &live.upstream);
    let principal = gateway.gatekeeper.identify(&mut headers, upstream, peer, authority)?;
    access::refuse_misplaced_in_target(
        request.uri().path_and_query().map_or("", http::uri::PathAndQuery::as_str),
    )?;
    let (live, target) = locate(&request, live, (name, rest))?;
    access::authorize(principal.as_deref(), &live.upstream)?;
    check_protocol(gateway, request.method(), &headers)?;
    let lane = Arc::clone(live.lane(request.method(), target.below()));
    check_length(&headers, lane.policy.limits.request)?;
    let asked_timeout = asked_timeout(&headers)?;
    let received = Instant::now();
    let deadline = Deadline::of(&lane.policy, asked_timeout, received);
    let body = BoxBody::<Bytes, io::Error>::from(request.take_body());
    let body = CallBody::incoming(body, lane.policy.limits.request, lane.policy.timeout.idle_body);
    let method = request.method().clone();
    let below_levee = headers.contains_key(LEVEE_ATTEMPT);
    hygiene::clean_request(&mut headers);
    let (headers, unruled) = ruled(headers, &live, &lane);
    let key = caller_key(principal.as_deref(), peer);
    let caller = Caller { key, partition_seed: gateway.partition_seed };
    let call = Call {
        id,
        live,
        lane,
        method,
        target,
        headers,
        unruled,
        caller,
        principal,
        received,
        below_levee,
        deadline,
        redis: Allowance::default(),
        trace: trace.clone(),
    };
    Ok((call, body))
}

/// The upstream's name in a path, and the raw rest.
fn upstream_name(path: &str) -> (&str, &str) {
    let below = path.strip_prefix(PREFIX).unwrap_or_default();
    below.split_at(below.find('/').unwrap_or(below.len()))
}

/// The upstream and the raw target below it.
fn locate(
    request: &Request,
    live: Option<Arc<Live>>,
    (name, rest): (&str, &str),
) -> Result<(Arc<Live>, Target), Refusal> {
    if let Some(why) = hygiene::refuse_path(request.uri().path()) {
        return refuse(ProblemType::InvalidRequest, format!("The request target is refused: {why}."));
    }
    let Some(live) = live else {
        return refuse(
            ProblemType::UnknownUpstream,
            format!("No upstream is registered as \"{}\".", shown(name)),
        );
    };
    let target = Target::new(&live.upstream.url.path, rest, request.uri().query());
    Ok((live, target))
}

/// A caller's text, fit to be shown: short and printable.
fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(63).collect()
}

fn check_protocol(gateway: &Gateway, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if hygiene::upgrade_wish(headers) == UpgradeWish::Demanded {
        return refuse(ProblemType::NotSupported, "Upgrades and WebSocket cannot pass through Levee.");
    }
    if *method == Method::TRACE {
        return refuse(ProblemType::MethodNotAllowed, "TRACE would show headers that are not the caller's.");
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MOST_FIELDS || bytes > MOST_HEADER_BYTES {
        let detail = format!(
            "At most {MOST_FIELDS} header fields and {MOST_HEADER_BYTES} bytes of them are accepted."
        );
        return refuse(ProblemType::HeadersTooLarge, detail);
    }
    if hygiene::detect_loop(headers, &gateway.pseudonym) == Loop::Yes {
        return refuse(
            ProblemType::LoopDetected,
            "The Via header shows that this call has been here before.",
        );
    }
    Ok(())
}

fn check_length(headers: &HeaderMap, limit: u64) -> Result<(), Refusal> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > limit => {
            let detail =
                format!("The body has {length} bytes; `limits.request` of this upstream is {limit}.");
            refuse(ProblemType::PayloadTooLarge, detail)
        }
        _ => Ok(()),
    }
}

fn asked_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get("levee-timeout") else { return Ok(None) };
    match value.to_str().ok().and_then(quantity::parse_duration) {
        Some(duration) if !duration.is_zero() => Ok(Some(duration)),
        _ => refuse(
            ProblemType::InvalidRequest,
            "The header Levee-Timeout must be a duration such as `1500ms` or `2s`.",
        ),
    }
}

/// Anonymous callers are told apart by address.
fn caller_key(principal: Option<&Principal>, peer: Option<IpAddr>) -> u64 {
    if let Some(principal) = principal {
        return xxhash_rust::xxh3::xxh3_64(principal.id.as_bytes());
    }
    peer.map_or(0, |peer| match peer.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => xxhash_rust::xxh3::xxh3_64(&address.octets()),
    })
}

/// A UUID of version 7 from the wall clock and a fast generator: call ids need not be secret.
fn new_call_id() -> Uuid {
    let millis =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut random = [0; 10];
    random[..8].copy_from_slice(&fastrand::u64(..).to_ne_bytes());
    random[8..].copy_from_slice(&fastrand::u16(..).to_ne_bytes());
    uuid::Builder::from_unix_timestamp_millis(millis as u64, &random).into_uuid()
}

fn respond(answer: Answer) -> Response {
    let mut response =
        Response::builder().status(answer.status).body(poem::Body::from(BoxBody::new(answer.body)));
    *response.headers_mut() = answer.headers;
    response
}
