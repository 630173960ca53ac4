//! `/breakers`: what the circuit breakers of the replica that answers are doing, and forcing those of every replica.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use time::OffsetDateTime;

use super::Group;
use super::error::ApiError;
use super::lasting::expires_in;
use super::pagination::{default_limit, key_of, next};
use super::payload::JsonBody;
use super::security::{Operator, Viewer};
use crate::services::breakers::{
    BreakerKey, BreakerMode as Mode, BreakerPage as Page, BreakerReport, BreakerState as State,
    BreakersService, Decision, Forced, ReplicaReport,
};

/// The operations.
pub(super) struct BreakersApi;

#[expect(clippy::unused_async, reason = "the macro awaits every handler")]
#[OpenApi(prefix_path = "/api/v1", tag = "Group::Breakers")]
impl BreakersApi {
    /// List breakers
    ///
    /// Every breaker of the replica that answers, by upstream and operation. An upstream's own breaker comes before
    /// those of its operations.
    #[oai(path = "/breakers", method = "get", operation_id = "list_breakers")]
    async fn list(
        &self,
        viewer: Viewer,
        service: Data<&BreakersService>,
        /// How many items to answer with at most.
        #[oai(
            name = "limit",
            default = "default_limit",
            validator(minimum(value = "1"), maximum(value = "200"))
        )]
        limit: Query<u32>,
        /// Where to go on: the `next` of the page before.
        #[oai(name = "cursor")]
        cursor: Query<Option<String>>,
    ) -> Result<JsonBody<BreakerPage>, ApiError> {
        let after = cursor.0.as_deref().map(key_of).transpose()?;
        let page = service.list(&viewer.0.principal, after.as_ref(), limit.0 as usize)?;
        Ok(JsonBody(page.into()))
    }

    /// Read one breaker
    ///
    /// The breaker of an upstream or, with `operation`, the one of an operation that has its own. 404 when there is none.
    /// `replicas` says how every replica stands to it.
    #[oai(path = "/breakers/:upstream", method = "get", operation_id = "get_breaker")]
    async fn get(
        &self,
        viewer: Viewer,
        service: Data<&BreakersService>,
        /// The upstream's name.
        #[oai(name = "upstream")]
        upstream: Path<String>,
        /// The operation's name.
        #[oai(name = "operation")]
        operation: Query<Option<String>>,
    ) -> Result<JsonBody<Breaker>, ApiError> {
        let key = BreakerKey { upstream: upstream.0, operation: operation.0 };
        Ok(JsonBody(service.get(&viewer.0.principal, &key)?.into()))
    }

    /// Force a breaker, or give it back
    ///
    /// In force on the replica that answers at once, and on every other within a second. `auto` gives the breaker back to the
    /// policy. Every other mode ends after an hour, or what `expiresIn` says.
    #[oai(path = "/breakers/:upstream", method = "put", operation_id = "set_breaker")]
    async fn put(
        &self,
        operator: Operator,
        service: Data<&BreakersService>,
        /// The upstream's name.
        #[oai(name = "upstream")]
        upstream: Path<String>,
        /// The operation's name.
        #[oai(name = "operation")]
        operation: Query<Option<String>>,
        body: JsonBody<BreakerDecision>,
    ) -> Result<JsonBody<Breaker>, ApiError> {
        let key = BreakerKey { upstream: upstream.0, operation: operation.0 };
        let BreakerDecision { mode, reason, expires_in } = body.0;
        let decision = Decision { mode: mode.into(), reason, lasts: lasting(expires_in.as_deref())? };
        let actor = operator.0.actor.clone();
        Ok(JsonBody(service.decide(&operator.0.principal, actor, key, decision).await?.into()))
    }
}

/// How long a decision lasts that does not say.
const UNSAID: Duration = Duration::from_secs(3600);
/// The shortest time a decision can last, and the longest, but for [`NEVER`].
const BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
/// Written for a decision that lasts until it is taken back.
const NEVER: &str = "never";

/// What a person decides on a breaker.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct BreakerDecision {
    /// Who decides from now on.
    mode: BreakerMode,
    /// Why, for the audit list and for whoever looks at the breaker next.
    #[oai(validator(min_length = 1, max_length = 500))]
    reason: String,
    /// For how long: a duration from `1s` to `30d`, or `never`. An hour when it is left out. Of no meaning with `auto`.
    #[oai(validator(max_length = 32))]
    expires_in: Option<String>,
}

/// A person's decision on a breaker, while it counts.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct BreakerForced {
    /// Why, in their words.
    reason: String,
    /// Who, as the audit list names them.
    by: String,
    /// Since when.
    since: OffsetDateTime,
    /// Until when; absent when it lasts until it is taken back.
    expires_at: Option<OffsetDateTime>,
}

/// Who decides whether a breaker admits calls: `auto`, the breaker itself; `forced_open` and `forced_closed`, a person;
/// `metrics_only`, nobody: it admits everything and says what it would have done.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum BreakerMode {
    Auto,
    ForcedOpen,
    ForcedClosed,
    MetricsOnly,
}

/// Where a breaker stands: `closed`, calls pass; `open`, calls are refused; `half_open`, a few probes pass to find out
/// whether the upstream is back.
#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

/// One breaker, as the replica that answers sees it.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Breaker {
    /// The upstream it guards.
    upstream: String,
    /// The operation it guards; absent for the upstream's own breaker.
    operation: Option<String>,
    /// Who decides.
    mode: BreakerMode,
    /// Where it stands.
    state: BreakerState,
    /// Since when it has stood there.
    since: OffsetDateTime,
    /// Why it stands there, for a person; absent while nothing has happened yet.
    reason: Option<String>,
    /// Seconds until an open breaker lets the next probe through.
    retry_after_seconds: Option<u64>,
    /// Share of the window's calls that failed.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    failure_rate: f64,
    /// Calls in the window.
    calls: u64,
    /// Calls in the window that failed.
    failures: u64,
    /// Calls in the window that were slow.
    slow: u64,
    /// What a person decided; absent when nobody did.
    forced: Option<BreakerForced>,
    /// How each replica that is heard of stands to it, the one that answers first; absent in lists, and without Redis.
    replicas: Option<Vec<BreakerReplica>>,
}

/// One replica's breaker.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct BreakerReplica {
    /// What the replicas know it by.
    replica: String,
    /// Whether it is the one that answers.
    answers: bool,
    /// Who decides there.
    mode: BreakerMode,
    /// Where it stands.
    state: BreakerState,
    /// Since when; absent for another replica's that plainly passes calls.
    since: Option<OffsetDateTime>,
    /// Why it stands there; absent while nothing has happened yet.
    reason: Option<String>,
}

/// A page of breakers.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct BreakerPage {
    /// The breakers of this page.
    items: Vec<Breaker>,
    /// What to send as `cursor` for the next page; absent on the last one.
    next: Option<String>,
}

impl From<Page> for BreakerPage {
    fn from(page: Page) -> Self {
        Self { items: page.items.into_iter().map(Breaker::from).collect(), next: page.next.map(next) }
    }
}

impl From<BreakerReport> for Breaker {
    fn from(report: BreakerReport) -> Self {
        Self {
            upstream: report.upstream,
            operation: report.operation,
            mode: report.mode.into(),
            state: report.state.into(),
            since: to_the_second(report.since.into()),
            reason: report.reason,
            retry_after_seconds: report.retry_after_seconds,
            failure_rate: report.failure_rate,
            calls: report.calls,
            failures: report.failures,
            slow: report.slow,
            forced: report.forced.map(BreakerForced::from),
            replicas: (!report.replicas.is_empty())
                .then(|| report.replicas.into_iter().map(BreakerReplica::from).collect()),
        }
    }
}

impl From<ReplicaReport> for BreakerReplica {
    fn from(report: ReplicaReport) -> Self {
        Self {
            replica: report.replica,
            answers: report.answers,
            mode: report.mode.into(),
            state: report.state.into(),
            since: report.since.map(|since| to_the_second(since.into())),
            reason: report.reason,
        }
    }
}

impl From<Forced> for BreakerForced {
    fn from(forced: Forced) -> Self {
        let Forced { reason, expires, since, by } = forced;
        Self { reason, by, since, expires_at: expires }
    }
}

impl From<BreakerMode> for Mode {
    fn from(mode: BreakerMode) -> Self {
        match mode {
            BreakerMode::Auto => Self::Auto,
            BreakerMode::ForcedOpen => Self::ForcedOpen,
            BreakerMode::ForcedClosed => Self::ForcedClosed,
            BreakerMode::MetricsOnly => Self::MetricsOnly,
        }
    }
}

impl From<Mode> for BreakerMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::ForcedOpen => Self::ForcedOpen,
            Mode::ForcedClosed => Self::ForcedClosed,
            Mode::MetricsOnly => Self::MetricsOnly,
        }
    }
}

impl From<State> for BreakerState {
    fn from(state: State) -> Self {
        match state {
            State::Closed => Self::Closed,
            State::Open => Self::Open,
            State::HalfOpen => Self::HalfOpen,
        }
    }
}

/// The moment is worked out from a monotonic clock at each reading, so finer digits would differ between two readings.
fn to_the_second(moment: OffsetDateTime) -> OffsetDateTime {
    moment.replace_nanosecond(0).unwrap_or(moment)
}

/// An upstream's name holds no colon, so the first one parts it from the operation.
impl fmt::Display for BreakerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.upstream, self.operation.as_deref().unwrap_or_default())
    }
}

impl FromStr for BreakerKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (upstream, operation) = text.split_once(':').ok_or(())?;
        let operation = (!operation.is_empty()).then(|| operation.to_owned());
        Ok(Self { upstream: upstream.to_owned(), operation })
    }
}

/// How long a decision lasts.
fn lasting(text: Option<&str>) -> Result<Option<Duration>, ApiError> {
    let Some(text) = text else { return Ok(Some(UNSAID)) };
    if text == NEVER {
        return Ok(None);
    }
    expires_in(text, &BOUNDS, "from `1s` to `30d`, such as `15m`, or `never`").map(Some)
}
