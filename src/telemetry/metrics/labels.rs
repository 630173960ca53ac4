//! The bounded label values, as enumerations: no free text becomes a label here.

/// Something whose every value is known, so that all its series can exist before the first event.
pub(super) trait Label: Copy + 'static {
    /// How many values there are.
    const COUNT: usize;
    /// The value at a position below `COUNT`.
    fn at(index: usize) -> Self;
    /// The position of this value.
    fn index(self) -> usize;
    /// The label values, one for each label it stands for.
    fn texts(self) -> Vec<&'static str>;
}

impl<A: Label, B: Label> Label for (A, B) {
    const COUNT: usize = A::COUNT * B::COUNT;

    fn at(index: usize) -> Self {
        (A::at(index / B::COUNT), B::at(index % B::COUNT))
    }

    fn index(self) -> usize {
        self.0.index() * B::COUNT + self.1.index()
    }

    fn texts(self) -> Vec<&'static str> {
        [self.0.texts(), self.1.texts()].concat()
    }
}

macro_rules! label {
    ($(#[$doc:meta])* $visibility:vis enum $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $visibility enum $name { $($(#[$value_doc])* $value,)+ }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// As it stands in the metrics.
            $visibility const fn text(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }
        }

        impl Label for $name {
            const COUNT: usize = Self::ALL.len();

            fn at(index: usize) -> Self {
                Self::ALL[index]
            }

            fn index(self) -> usize {
                self as usize
            }

            fn texts(self) -> Vec<&'static str> {
                vec![self.text()]
            }
        }
    };
}

mod method;

pub(super) use label;
pub(super) use method::MethodLabel;

label! {
    /// How a call ended.
    pub enum Outcome {
        /// The upstream's own 2xx to 4xx.
        Upstream = "upstream",
        /// The upstream's own 5xx, passed on.
        UpstreamError = "upstream_error",
        /// From memory.
        Cache = "cache",
        /// A fallback step.
        Fallback = "fallback",
        /// The caller's fault, or its own limit.
        Refused = "refused",
        /// Circuit open, overloaded or draining, and no fallback.
        Unavailable = "unavailable",
        /// The upstream could not answer, and no fallback.
        Failed = "failed",
        /// The caller left.
        Cancelled = "cancelled",
        /// Our own fault.
        Internal = "internal",
    }
}

impl Outcome {
    pub(super) fn answered_by(self) -> AnsweredBy {
        match self {
            Self::Upstream | Self::UpstreamError => AnsweredBy::Upstream,
            Self::Cache => AnsweredBy::Cache,
            Self::Fallback => AnsweredBy::Fallback,
            Self::Refused | Self::Unavailable | Self::Failed | Self::Cancelled | Self::Internal => {
                AnsweredBy::Levee
            }
        }
    }
}

label! {
    /// Outcomes in the words of `Levee-Answer`: durations need no finer grain, and histograms are many series.
    pub(super) enum AnsweredBy {
        /// The upstream, 5xx included.
        Upstream = "upstream",
        /// Memory.
        Cache = "cache",
        /// A fallback step.
        Fallback = "fallback",
        /// Levee itself, or nobody.
        Levee = "levee",
    }
}

label! {
    /// How one attempt ended.
    pub enum AttemptResult {
        /// An answer that does not count as a failure.
        Success = "success",
        /// A status that counts as a failure.
        Failure = "failure",
        /// A success past the slow-call threshold.
        Slow = "slow",
        /// Its time ran out.
        Timeout = "timeout",
        /// Nothing was sent.
        ConnectFailure = "connect_failure",
        /// The connection broke before the answer was complete.
        Reset = "reset",
        /// The answer was not valid HTTP.
        Protocol = "protocol",
        /// The caller left.
        Cancelled = "cancelled",
    }
}

label! {
    /// Why a further attempt was made.
    pub enum RetryReason {
        /// Nothing was sent.
        ConnectFailure = "connect_failure",
        /// The connection broke.
        Reset = "reset",
        /// The attempt's time ran out.
        Timeout = "timeout",
        /// A status listed in the policy.
        Status = "status",
    }
}

label! {
    /// Where a breaker stands.
    pub enum BreakerState {
        /// Calls go through.
        Closed = "closed",
        /// Calls are refused.
        Open = "open",
        /// Probes go through.
        HalfOpen = "half_open",
        /// Calls are refused because an operator said so.
        ForcedOpen = "forced_open",
    }
}

label! {
    /// Why a breaker changed its state.
    pub enum TransitionReason {
        /// Too large a share of failures.
        FailureRate = "failure_rate",
        /// Too large a share of slow calls.
        SlowRate = "slow_rate",
        /// Too many transport failures in a row.
        ConsecutiveFailures = "consecutive_failures",
        /// A probe failed.
        ProbeFailed = "probe_failed",
        /// A probe never came back.
        ProbeLost = "probe_lost",
        /// The open period ended.
        PeriodOver = "period_over",
        /// Enough good probes.
        ProbesGood = "probes_good",
        /// An operator set the mode.
        Operator = "operator",
        /// An operator's mode expired.
        Expired = "expired",
        /// The policy's mode changed.
        Policy = "policy",
        /// Enough other replicas saw it fail, or their word for that is over.
        Fleet = "fleet",
    }
}

impl TransitionReason {
    /// Whether it is known to lead there, so that the series should exist before the first such change.
    pub(super) fn leads_to(self, state: BreakerState) -> bool {
        match self {
            Self::FailureRate
            | Self::SlowRate
            | Self::ConsecutiveFailures
            | Self::ProbeFailed
            | Self::ProbeLost => state == BreakerState::Open,
            Self::Fleet => matches!(state, BreakerState::Open | BreakerState::Closed),
            Self::PeriodOver => state == BreakerState::HalfOpen,
            Self::ProbesGood | Self::Expired | Self::Policy => state == BreakerState::Closed,
            Self::Operator => matches!(state, BreakerState::Closed | BreakerState::ForcedOpen),
        }
    }
}

label! {
    /// The fallback step that answered.
    pub enum FallbackStep {
        /// A stored answer past its freshness.
        Stale = "stale",
        /// Another upstream.
        Upstream = "upstream",
        /// The fixed document.
        Static = "static",
    }
}

label! {
    /// What set a fallback going.
    pub enum FallbackCause {
        /// Nothing could be sent.
        ConnectFailure = "connect_failure",
        /// The connection broke.
        Reset = "reset",
        /// Time ran out.
        Timeout = "timeout",
        /// The breaker refused.
        CircuitOpen = "circuit_open",
        /// The quota was used up.
        QuotaExhausted = "quota_exhausted",
        /// A bulkhead was full.
        Overloaded = "overloaded",
        /// One of the upstream's statuses.
        Status = "status",
    }
}

label! {
    /// What the cache did for a call.
    pub enum CacheResult {
        /// A fresh answer.
        Hit = "hit",
        /// A fresh answer that another replica had fetched, beside the miss in memory.
        FleetHit = "fleet_hit",
        /// A stale answer, within its window.
        Stale = "stale",
        /// Nothing usable was stored.
        Miss = "miss",
        /// A stored answer confirmed by the upstream.
        Revalidated = "revalidated",
        /// Not asked: method, policy or the caller's wish.
        Bypass = "bypass",
        /// Known not to be cacheable.
        HitForMiss = "hit_for_miss",
        /// Shared the flight of another call.
        Collapsed = "collapsed",
        /// A stored error answer.
        Negative = "negative",
    }
}

label! {
    /// What an attempt got that asked the quota.
    pub enum QuotaResult {
        /// A token at once.
        AtOnce = "at_once",
        /// A token after waiting in line.
        Waited = "waited",
        /// None.
        Refused = "refused",
    }
}

label! {
    /// What Redis said when it was asked for tokens of a quota.
    pub enum QuotaAsk {
        /// Here are some.
        Given = "given",
        /// There are none.
        None = "none",
        /// Nothing in the time that a call waits. What it says later is one of the others.
        Late = "late",
        /// Nothing, or an error.
        Lost = "lost",
    }
}

label! {
    /// A listening socket of ours.
    pub enum Listener {
        /// The data plane.
        Proxy = "proxy",
        /// The control plane.
        Api = "api",
    }
}

label! {
    /// What an operator's word makes of a breaker.
    pub enum ForcedMode {
        /// Nothing passes.
        Open = "forced_open",
        /// Everything passes.
        Closed = "forced_closed",
        /// Everything passes, and the breaker says what it would have done.
        MetricsOnly = "metrics_only",
    }
}

label! {
    /// How the process that ran here before this one ended.
    pub enum PreviousStop {
        /// In order, with nothing cut.
        Clean = "clean",
        /// In order, but its drain overran and calls were cut.
        Cut = "cut",
        /// In the middle of its work or of its drain.
        Killed = "killed",
        /// Nothing tells.
        Unknown = "unknown",
    }
}

label! {
    /// What limits how many requests of the control plane.
    pub enum RateLimit {
        /// An address that did not prove who it is.
        Anonymous = "anonymous",
        /// An address at the routes where secrets are tried.
        Auth = "auth",
        /// Failures for one account from one address.
        AuthFailures = "auth_failures",
        /// A principal of the class low.
        Low = "low",
        /// A principal of the class normal.
        Normal = "normal",
        /// A principal of the class high.
        High = "high",
    }
}

label! {
    /// Why a credential, a login or a refresh was refused.
    pub enum AuthFailure {
        /// A key or token whose form, checksum or signature is wrong.
        Malformed = "malformed",
        /// A key that was never issued, or was revoked.
        Unknown = "unknown",
        /// A key or token whose time is over.
        Expired = "expired",
        /// A key or token of somebody disabled or deleted, or from before the password changed.
        Disabled = "disabled",
        /// An address and a password that do not belong together.
        Password = "password",
        /// A refresh token that does not count.
        Refresh = "refresh",
        /// A refresh token that was used before.
        Reuse = "reuse",
        /// A password reset that does not count.
        Reset = "reset",
    }
}

label! {
    /// What became of asking for the fleet's lease for probes.
    pub enum ProbeLease {
        /// This replica probes.
        Won = "won",
        /// Another one does.
        Lost = "lost",
    }
}

label! {
    /// Why a span never reached the collector.
    pub enum SpanLoss {
        /// Too many were waiting to be sent.
        QueueFull = "queue_full",
        /// The collector did not take them.
        ExportFailed = "export_failed",
    }
}
