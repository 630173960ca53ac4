//! One call: what the caller asked, of which upstream, under which policy, by when.

use std::fmt::{self, Display};
use std::sync::Arc;

use http::{HeaderMap, Method};
use tokio::time::Instant;
use uuid::Uuid;

use super::deadline::Deadline;
use super::snapshot::{Lane, Live};
use crate::models::policy::Credentials;
use crate::models::principal::Principal;
use crate::redis::Allowance;
use crate::telemetry::traces::Trace;

/// A call's head. The body travels beside it, because it can be consumed only once.
#[derive(Clone)]
pub struct Call {
    /// Sorts by time; shown as `Levee-Call-Id`.
    pub id: Uuid,
    /// The upstream as it was when the call arrived.
    pub live: Arc<Live>,
    /// The matching operation's lane, or the upstream's own.
    pub lane: Arc<Lane>,
    /// As sent.
    pub method: Method,
    /// Where at the upstream.
    pub target: Target,
    /// The headers as they go to the upstream, but for what each attempt adds.
    pub headers: HeaderMap,
    /// Those before the policy's header rules, where it has any: another upstream has rules of its own.
    pub unruled: Option<HeaderMap>,
    /// Who asks.
    pub caller: Caller,
    /// Who that is, where it was proved.
    pub principal: Option<Arc<Principal>>,
    /// When it arrived.
    pub received: Instant,
    /// Another Levee in front of us does the retrying.
    pub below_levee: bool,
    /// When it must be answered.
    pub deadline: Deadline,
    /// What it may wait for Redis.
    pub redis: Allowance,
    /// Its trace; empty where traces are off.
    pub trace: Trace,
}

/// Where at the upstream: its own path prefix, then what the caller sent, the bytes as sent.
#[derive(Debug, Clone)]
pub struct Target {
    text: String,
    below: usize,
    path_end: usize,
}

impl Target {
    /// `path` is raw and below the upstream's `url`, with its leading slash or empty; `query` is without its mark.
    pub fn new(prefix: &str, path: &str, query: Option<&str>) -> Self {
        let mut text = String::with_capacity(prefix.len() + path.len() + query.map_or(0, str::len) + 2);
        text.push_str(prefix);
        text.push_str(path);
        if text.is_empty() {
            text.push('/');
        }
        let path_end = text.len();
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        Self { text, below: prefix.len(), path_end }
    }

    /// Path and query, in origin form.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The path at the upstream.
    pub fn path(&self) -> &str {
        &self.text[..self.path_end]
    }

    /// The path below the upstream's `url`, which operations are matched against.
    pub fn below(&self) -> &str {
        &self.text[self.below..self.path_end]
    }

    /// The query without its mark.
    pub fn query(&self) -> Option<&str> {
        self.text[self.path_end..].strip_prefix('?')
    }
}

/// Who is calling, as far as bulkheads and cache partitions need to know.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Tells principals apart.
    pub key: u64,
    /// Makes the hashes of credentials this process's own.
    pub partition_seed: u64,
}

struct CallerName<'a>(Option<&'a Principal>);

impl Display for CallerName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(principal) => write!(formatter, "{}:{}", principal.kind.prefix(), principal.name),
            None => formatter.write_str("anonymous"),
        }
    }
}

impl Call {
    /// The same request to another upstream, under that upstream's own policy, within what is left of this call.
    #[must_use]
    pub fn redirected(&self, live: &Arc<Live>) -> Self {
        let target = Target::new(&live.upstream.url.path, self.target.below(), self.target.query());
        let lane = Arc::clone(live.lane(&self.method, target.below()));
        let (headers, unruled) = ruled(self.unruled.as_ref().unwrap_or(&self.headers).clone(), live, &lane);
        let (left, received) = (self.deadline.remaining_for_fallback(), Instant::now());
        let deadline = Deadline::of(&lane.policy, Some(left), received);
        Self {
            live: Arc::clone(live),
            lane,
            method: self.method.clone(),
            target,
            headers,
            unruled,
            principal: self.principal.clone(),
            received,
            deadline,
            redis: self.redis.clone(),
            trace: self.trace.clone(),
            ..*self
        }
    }

    /// How the log names its trace, if it has one.
    pub fn trace_name(&self) -> Option<impl tracing::Value + use<>> {
        self.trace.name(&self.headers).map(tracing::field::display)
    }

    /// How logs and metrics name the caller.
    pub fn caller_name(&self) -> impl Display {
        CallerName(self.principal.as_deref())
    }

    /// The same request for all who wait for its answer: nobody's own haste shortens it.
    #[must_use]
    pub fn for_flight(&self) -> Self {
        let received = Instant::now();
        Self { deadline: Deadline::of(&self.lane.policy, None, received), received, ..self.clone() }
    }
}

/// Applies the policy's header rules; answers with the headers to send, and the ones before where they differ. What
/// the caller put where our own credential goes never counts, so it goes here: the cache must not tell callers apart
/// by it.
pub fn ruled(headers: HeaderMap, live: &Live, lane: &Lane) -> (HeaderMap, Option<HeaderMap>) {
    let rules = &lane.policy.headers;
    let replaced = live.upstream.credentials.as_ref().map(Credentials::header);
    let replaced = replaced.filter(|name| headers.contains_key(*name));
    if rules.set.is_empty() && rules.remove.is_empty() && replaced.is_none() {
        return (headers, None);
    }
    let mut changed = headers.clone();
    if let Some(name) = replaced {
        changed.remove(name);
    }
    for name in &rules.remove {
        changed.remove(name);
    }
    for (name, value) in &rules.set {
        changed.insert(name.clone(), value.clone());
    }
    (changed, Some(headers))
}
