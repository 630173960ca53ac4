//! Names, help and labels of all metrics, and how samples are put under them.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::counts::{Counts, Durations};
use super::labels::Label;

/// What is said about a metric before its first sample.
#[derive(Debug)]
pub(super) struct Family {
    name: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
}

impl Family {
    pub(super) fn open(&'static self) -> Samples {
        Samples { family: self, metrics: Vec::new() }
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name
    }
}

/// A family while its samples are gathered.
#[derive(Debug)]
pub(super) struct Samples {
    family: &'static Family,
    metrics: Vec<Metric>,
}

impl Samples {
    pub(super) fn count(&mut self, labels: &[&str], value: u64) {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        self.labelled(labels).set_counter(counter);
    }

    /// One sample for each value of `L`, whose labels follow `outer`.
    pub(super) fn counts<L: Label>(&mut self, outer: &[&str], counts: &Counts<L>) {
        for (label, value) in counts.read() {
            self.count(&[outer, &label.texts()].concat(), value);
        }
    }

    pub(super) fn gauge(&mut self, labels: &[&str], value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        self.labelled(labels).set_gauge(gauge);
    }

    pub(super) fn durations(&mut self, labels: &[&str], durations: &Durations) {
        self.labelled(labels).set_histogram(durations.read());
    }

    pub(super) fn close(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.family.name.to_owned());
        family.set_help(self.family.help.to_owned());
        family.set_field_type(self.family.kind);
        family.set_metric(self.metrics);
        family
    }

    fn labelled(&mut self, values: &[&str]) -> &mut Metric {
        let pairs = self.family.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        self.metrics.push(Metric::from_label(pairs.collect()));
        self.metrics.last_mut().expect("one was pushed on the line above")
    }
}

/// One line per metric: name, kind, labels, help.
macro_rules! families {
    ($($constant:ident $name:literal $kind:ident [$($label:literal),*] $help:literal;)+) => {
        $(
            pub(super) static $constant: Family =
                Family { name: $name, kind: MetricType::$kind, labels: &[$($label),*], help: $help };
        )+

        #[cfg(test)]
        pub(super) static ALL: &[&Family] = &[$(&$constant),+];
    };
}

families! {
    CALLS "levee_calls_total" COUNTER ["upstream", "method", "outcome"]
        "Calls answered or given up, by how they ended.";
    CALLER_CALLS "levee_caller_calls_total" COUNTER ["caller", "upstream"]
        "Calls let in, by caller: the first 50 of each upstream, the rest as _other.";
    CALL_DURATION "levee_call_duration_seconds" HISTOGRAM ["upstream", "outcome"]
        "Time from a call's arrival to its response headers, by who answered.";
    ATTEMPTS "levee_attempts_total" COUNTER ["upstream", "result"]
        "Exchanges with the upstream, retries included.";
    ATTEMPT_DURATION "levee_attempt_duration_seconds" HISTOGRAM ["upstream"]
        "Time of one exchange with the upstream, to its response headers.";
    RETRIES "levee_retries_total" COUNTER ["upstream", "reason"]
        "Further attempts made, by what was wrong with the one before.";
    RETRY_BUDGET "levee_retry_budget_remaining" GAUGE ["upstream"]
        "Retries the budget would still allow now.";
    BREAKER_STATE "levee_breaker_state" GAUGE ["upstream", "operation", "state"]
        "1 for the state the breaker is in, 0 for the others.";
    BREAKER_TRANSITIONS "levee_breaker_transitions_total" COUNTER ["upstream", "operation", "to", "reason"]
        "Changes of a breaker's state.";
    BREAKER_FORCED "levee_breaker_forced" GAUGE ["upstream", "operation", "mode"]
        "1 for the mode an operator set, 0 for the others.";
    FALLBACKS "levee_fallbacks_total" COUNTER ["upstream", "step", "cause"]
        "Calls answered by a fallback step, by what set it going.";
    INFLIGHT "levee_inflight" GAUGE ["upstream"]
        "Attempts in flight.";
    QUEUE_DEPTH "levee_queue_depth" GAUGE ["upstream"]
        "Attempts waiting for a seat.";
    CONCURRENCY_LIMIT "levee_concurrency_limit" GAUGE ["upstream"]
        "Attempts allowed in flight.";
    QUOTA_TAKES "levee_quota_takes_total" COUNTER ["upstream", "result"]
        "Attempts that asked the quota for a token.";
    QUOTA_ASKS "levee_quota_asks_total" COUNTER ["upstream", "result"]
        "Questions to Redis for tokens of a quota that replicas share.";
    QUOTA_DEGRADED "levee_quota_degraded" GAUGE ["upstream", "operation"]
        "1 while a quota that replicas share goes without Redis, by its onStoreLoss.";
    REPLICAS "levee_replicas" GAUGE []
        "Replicas that live, this one included; while Redis is away as many as lived last.";
    QUOTA_REMAINING "levee_quota_remaining" GAUGE ["upstream", "operation"]
        "Tokens of the quota that could be taken at once; only where there is one.";
    QUOTA_WAITING "levee_quota_waiting" GAUGE ["upstream", "operation"]
        "Attempts waiting for a token of the quota.";
    QUOTA_PAUSE "levee_quota_pause_seconds" GAUGE ["upstream", "operation"]
        "What is left of a pause that the upstream asked for.";
    CREDENTIALS_ATTACHED "levee_credentials_attached" GAUGE ["upstream"]
        "1 while calls get the stored credential, 0 while they are refused for want of it; only where one is needed.";
    CACHE_REQUESTS "levee_cache_requests_total" COUNTER ["upstream", "result"]
        "What the cache did for calls.";
    PROBLEMS "levee_problems_total" COUNTER ["upstream", "problem"]
        "Answers Levee made itself, by problem type; upstream is empty where it never became a call.";
    UPSTREAM_INFO "levee_upstream_info" GAUGE ["upstream", "owner"]
        "Always 1; the labels say who is responsible for the upstream.";
    UPSTREAM_CONNECTIONS "levee_upstream_connections" GAUGE ["upstream", "state"]
        "Connections to the upstream: open, and those of them that are idle.";
    UPSTREAM_DIALS "levee_upstream_dials_total" COUNTER ["upstream"]
        "Connections opened to the upstream.";
    STALE_RUNWAY "levee_cache_stale_runway_seconds" GAUGE ["upstream"]
        "How much longer kept answers could stand in were the upstream away from now on: the median of what is kept.";
    CACHE_BYTES "levee_cache_bytes" GAUGE []
        "Memory held by cached answers.";
    CACHE_FLEET_LOOKS "levee_cache_fleet_looks_total" COUNTER ["result"]
        "Looks into the second level of the cache, in Redis, by how they ended.";
    CACHE_FLEET_WRITES "levee_cache_fleet_writes_total" COUNTER ["result"]
        "Writes to the second level of the cache, by how they ended.";
    CACHE_PURGES "levee_cache_purges_total" COUNTER ["scope"]
        "Purges made at this replica, by operators and by the answers to unsafe requests.";
    CACHE_LEASES "levee_cache_leases_total" COUNTER ["result"]
        "Times this replica asked for the fleet's right to fetch or refresh an answer.";
    REDIS_QUESTIONS "levee_redis_questions_total" COUNTER ["result"]
        "Questions to Redis, by how they ended.";
    REDIS_DURATION "levee_redis_question_duration_seconds" HISTOGRAM []
        "Time that Redis took for an answer.";
    REDIS_BREAKER_OPEN "levee_redis_breaker_open" GAUGE []
        "1 while questions to Redis are not asked because it did not answer lately.";
    CACHE_LOG_APPLIED "levee_cache_log_applied_total" COUNTER []
        "Purges read in the log that replicas share, its own included.";
    CACHE_LOG_LOST "levee_cache_log_lost_track_total" COUNTER []
        "Times all that was cached became stale because purges may have been missed.";
    CACHE_LOG_LAG "levee_cache_log_lag_seconds" GAUGE []
        "How late the last purge read in the log was applied.";
    CACHE_LOG_SILENT "levee_cache_log_silent_seconds" GAUGE []
        "Time since everything in the log was last known to be applied.";
    CACHE_LOG_BLIND "levee_cache_log_blind" GAUGE []
        "1 while the log has been silent for so long that fresh answers are refreshed behind.";
    CACHE_LOG_OUTBOX "levee_cache_log_outbox" GAUGE []
        "Purges that the log has yet to take.";
    CACHE_CAPACITY "levee_cache_capacity_bytes" GAUGE []
        "Most memory cached answers may hold.";
    CACHE_ENTRIES "levee_cache_entries" GAUGE []
        "Cached answers and markers.";
    CACHE_EVICTIONS "levee_cache_evictions_total" COUNTER []
        "Cached answers pushed out for lack of room.";
    UPSTREAMS_LEFT_OUT "levee_upstreams_left_out" GAUGE []
        "Upstreams of the API that calls cannot find because something is wrong with them.";
    SNAPSHOT_REVISION "levee_snapshot_revision" GAUGE []
        "Revision of the snapshot in force.";
    SNAPSHOT_APPLIED "levee_snapshot_applied_timestamp_seconds" GAUGE []
        "When the snapshot in force took effect, Unix time; 0 before the first.";
    FILES_VALID "levee_upstream_files_valid" GAUGE []
        "1 while the watched upstream files are valid, 0 while a bad edit is held back.";
    FILE_ERRORS "levee_upstream_file_errors_total" COUNTER []
        "Times the watched upstream files were found bad.";
    FILE_LOADS "levee_upstream_file_loads_total" COUNTER []
        "Versions of the watched upstream files that took effect.";
    DEPENDENCY_UP "levee_dependency_up" GAUGE ["dependency"]
        "1 while it answers.";
    LEADER "levee_leader" GAUGE []
        "1 while this replica leads; only where a cluster is watched.";
    WATCH_LAST_EVENT "levee_kubernetes_watch_last_event_timestamp_seconds" GAUGE []
        "When the Kubernetes API last said anything on a watch, bookmarks included, Unix time; 0 before that.";
    POOL_CONNECTIONS "levee_pool_connections" GAUGE ["pool", "state"]
        "Connections to the database, in use and idle, and the limit of their pool.";
    DRAINING "levee_draining" GAUGE []
        "1 once the process drains.";
    RUNTIME_SILENCE "levee_runtime_silence_seconds" GAUGE []
        "Time since the main runtime's last sign of life; it gives one each second.";
    PREVIOUS_STOP "levee_previous_stop" GAUGE ["how"]
        "1 for the way the process before this one ended, 0 for the others.";
    HTTP_REQUESTS "levee_http_requests_total" COUNTER ["method", "route", "status"]
        "Requests answered by the control plane, by route template.";
    HTTP_DURATION "levee_http_request_duration_seconds" HISTOGRAM ["route"]
        "Time of a control plane request, by route template.";
    RATE_LIMITED "levee_rate_limited_total" COUNTER ["scope"]
        "Requests the control plane refused, by the limit that was reached.";
    AUTH_FAILURES "levee_auth_failures_total" COUNTER ["reason"]
        "Credentials, logins and refreshes refused, on both planes.";
    ISSUER_FETCHES "levee_issuer_fetches_total" COUNTER ["issuer", "result"]
        "Times an issuer of tokens was asked for its keys.";
    ISSUER_KEYS "levee_issuer_keys" GAUGE ["issuer"]
        "Keys of an issuer that tokens are verified with.";
    ISSUER_KEYS_FETCHED "levee_issuer_keys_fetched_timestamp_seconds" GAUGE ["issuer"]
        "When an issuer's keys were fetched, Unix time; 0 while there are none.";
    CONNECTIONS "levee_connections" GAUGE ["listener"]
        "Open connections of callers.";
    OPEN_REPLICAS "levee_breaker_open_replicas" GAUGE ["upstream", "operation"]
        "Replicas whose breaker of this upstream or operation is open, this one included.";
    PROBE_LEASES "levee_breaker_probe_leases_total" COUNTER ["result"]
        "Times this replica asked for the fleet's lease for probes.";
    SPANS_EXPORTED "levee_spans_exported_total" COUNTER []
        "Spans that the collector took.";
    SPANS_DROPPED "levee_spans_dropped_total" COUNTER ["reason"]
        "Spans that never reached the collector.";
    BUILD_INFO "levee_build_info" GAUGE ["version", "revision"]
        "Always 1; the labels say what runs.";
    TOKIO_WORKERS "levee_tokio_workers" GAUGE []
        "Worker threads of the main runtime.";
    TOKIO_ALIVE_TASKS "levee_tokio_alive_tasks" GAUGE []
        "Tasks alive on the main runtime.";
    TOKIO_GLOBAL_QUEUE_DEPTH "levee_tokio_global_queue_depth" GAUGE []
        "Tasks waiting in the main runtime's shared queue.";
}
