//! Tests of the metrics as a scraper sees them.

use super::*;
use crate::telemetry::traces::TraceName;

fn metrics_with(names: &[&str]) -> Metrics {
    let metrics = Metrics::new("0.1.0", "abc");
    for name in names {
        metrics.upstream(name);
    }
    metrics
}

fn readings(names: &[&str]) -> Readings {
    let upstream = |name: &&str| UpstreamReading {
        name: (*name).to_owned(),
        in_flight: 3,
        queued: 1,
        limit: 8,
        retry_budget: 2.5,
        credentials_attached: Some(true),
        owner: Some("team-\"pricing\"".to_owned()),
        connections: ConnectionsReading { open: 4, idle: 1, dialled: 9 },
        stale_runway: Some(Duration::from_secs(90)),
        breakers: vec![BreakerReading {
            operation: String::new(),
            state: BreakerState::Open,
            open_on: 2,
            forced: Some(ForcedMode::MetricsOnly),
        }],
        quotas: vec![QuotaReading {
            operation: "quote".to_owned(),
            remaining: 17,
            waiting: 4,
            paused_for: Duration::from_millis(1500),
            degraded: true,
        }],
    };
    Readings {
        dependencies: vec![("database", true)],
        kubernetes: Some(KubernetesReading { last_event: 1.5, leading: true }),
        pools: vec![PoolReading { name: "control", in_use: 2, idle: 1, limit: 20 }],
        replicas: 3,
        cache: CacheReading {
            bytes: 42,
            capacity: 100,
            entries: 3,
            evicted: 7,
            purges: [("path", 0), ("tag", 2), ("glob", 0), ("upstream", 0), ("all", 0)],
        },
        redis: Some(RedisReading { counted: Arc::new(RedisMetrics::default()), breaker_open: true }),
        issuers: vec![IssuerReading {
            name: "kubernetes",
            keys: 2,
            fetched: Some(UNIX_EPOCH + Duration::from_secs(9)),
        }],
        fleet_cache: Some(FleetCacheReading {
            looks: vec![("hit", 1)],
            writes: vec![("stored", 1)],
            leases: vec![("taken", 1)],
            ..FleetCacheReading::default()
        }),
        connections: vec![(Listener::Proxy, 5)],
        upstreams: names.iter().map(upstream).collect(),
        silence: Duration::from_millis(250),
        left_out: 1,
        previous_stop: Some(PreviousStop::Killed),
        runtime: None,
    }
}

fn text(metrics: &Metrics, readings: &Readings) -> String {
    metrics.render(Format::Prometheus, readings)
}

#[track_caller]
fn has(document: &str, line: &str) {
    assert!(document.lines().any(|found| found == line), "no {line:?} in\n{document}");
}

#[test]
fn zero_series_exist_from_the_start() {
    let metrics = metrics_with(&["rates"]);
    let _breaker = metrics.upstream("rates").breaker("");
    let document = text(&metrics, &Readings::default());
    for line in [
        r#"levee_calls_total{upstream="rates",method="GET",outcome="upstream"} 0"#,
        r#"levee_calls_total{upstream="rates",method="_other",outcome="internal"} 0"#,
        r#"levee_call_duration_seconds_bucket{upstream="rates",outcome="cache",le="0.002"} 0"#,
        r#"levee_attempts_total{upstream="rates",result="connect_failure"} 0"#,
        r#"levee_attempt_duration_seconds_count{upstream="rates"} 0"#,
        r#"levee_retries_total{upstream="rates",reason="status"} 0"#,
        r#"levee_fallbacks_total{upstream="rates",step="static",cause="circuit_open"} 0"#,
        r#"levee_cache_requests_total{upstream="rates",result="hit_for_miss"} 0"#,
        r#"levee_quota_takes_total{upstream="rates",result="refused"} 0"#,
        r#"levee_breaker_transitions_total{upstream="rates",operation="",to="open",reason="failure_rate"} 0"#,
        "levee_upstream_file_errors_total 0",
        "levee_upstream_file_loads_total 0",
        "levee_upstream_files_valid 1",
        "levee_draining 0",
        "levee_snapshot_revision 0",
        r#"levee_build_info{version="0.1.0",revision="abc"} 1"#,
    ] {
        has(&document, line);
    }
}

#[test]
fn events_are_counted_under_their_labels() {
    let metrics = metrics_with(&[]);
    let rates = metrics.upstream("rates");
    let breaker = rates.breaker("quote");
    rates.call(&Method::GET, Outcome::Upstream, Duration::from_micros(1500), None);
    rates.call(&Method::from_bytes(b"PURGE").unwrap(), Outcome::Failed, Duration::from_secs(60), None);
    rates.attempt(AttemptResult::Slow, Duration::from_millis(400));
    rates.retry(RetryReason::Timeout);
    rates.fallback(FallbackStep::Stale, FallbackCause::Status);
    rates.cache(CacheResult::Negative);
    rates.problem(ProblemType::UpstreamTimeout);
    metrics.refused_before_a_call(ProblemType::UnknownUpstream);
    breaker.transition(BreakerState::HalfOpen, TransitionReason::PeriodOver);
    metrics.issuer_fetch("kubernetes", IssuerFetch::Failed);
    let document = text(&metrics, &Readings::default());
    for line in [
        r#"levee_calls_total{upstream="rates",method="GET",outcome="upstream"} 1"#,
        r#"levee_calls_total{upstream="rates",method="_other",outcome="failed"} 1"#,
        r#"levee_call_duration_seconds_bucket{upstream="rates",outcome="upstream",le="0.001"} 0"#,
        r#"levee_call_duration_seconds_bucket{upstream="rates",outcome="upstream",le="0.002"} 1"#,
        r#"levee_call_duration_seconds_sum{upstream="rates",outcome="upstream"} 0.0015"#,
        r#"levee_call_duration_seconds_bucket{upstream="rates",outcome="levee",le="30"} 0"#,
        r#"levee_call_duration_seconds_bucket{upstream="rates",outcome="levee",le="+Inf"} 1"#,
        r#"levee_attempts_total{upstream="rates",result="slow"} 1"#,
        r#"levee_retries_total{upstream="rates",reason="timeout"} 1"#,
        r#"levee_fallbacks_total{upstream="rates",step="stale",cause="status"} 1"#,
        r#"levee_cache_requests_total{upstream="rates",result="negative"} 1"#,
        r#"levee_problems_total{upstream="rates",problem="upstream-timeout"} 1"#,
        r#"levee_problems_total{upstream="rates",problem="overloaded"} 0"#,
        r#"levee_problems_total{upstream="",problem="unknown-upstream"} 1"#,
        r#"levee_breaker_transitions_total{upstream="rates",operation="quote",to="half_open",reason="period_over"} 1"#,
        r#"levee_issuer_fetches_total{issuer="kubernetes",result="failed"} 1"#,
        r#"levee_issuer_fetches_total{issuer="kubernetes",result="ok"} 0"#,
    ] {
        has(&document, line);
    }
}

#[test]
fn readings_show_as_gauges() {
    let document = text(&metrics_with(&["rates"]), &readings(&["rates"]));
    for line in [
        r#"levee_inflight{upstream="rates"} 3"#,
        r#"levee_queue_depth{upstream="rates"} 1"#,
        r#"levee_concurrency_limit{upstream="rates"} 8"#,
        r#"levee_retry_budget_remaining{upstream="rates"} 2.5"#,
        r#"levee_breaker_state{upstream="rates",operation="",state="open"} 1"#,
        r#"levee_breaker_state{upstream="rates",operation="",state="closed"} 0"#,
        r#"levee_breaker_open_replicas{upstream="rates",operation=""} 2"#,
        r#"levee_quota_remaining{upstream="rates",operation="quote"} 17"#,
        r#"levee_quota_waiting{upstream="rates",operation="quote"} 4"#,
        r#"levee_quota_pause_seconds{upstream="rates",operation="quote"} 1.5"#,
        r#"levee_connections{listener="proxy"} 5"#,
        r#"levee_dependency_up{dependency="database"} 1"#,
        r#"levee_pool_connections{pool="control",state="in_use"} 2"#,
        r#"levee_pool_connections{pool="control",state="idle"} 1"#,
        r#"levee_pool_connections{pool="control",state="limit"} 20"#,
        r#"levee_quota_degraded{upstream="rates",operation="quote"} 1"#,
        "levee_replicas 3",
        "levee_cache_bytes 42",
        r#"levee_issuer_keys{issuer="kubernetes"} 2"#,
        r#"levee_issuer_keys_fetched_timestamp_seconds{issuer="kubernetes"} 9"#,
        "levee_cache_capacity_bytes 100",
        "levee_cache_entries 3",
        "levee_cache_evictions_total 7",
        r#"levee_cache_purges_total{scope="tag"} 2"#,
        r#"levee_cache_leases_total{result="taken"} 1"#,
        "levee_redis_breaker_open 1",
        "levee_upstreams_left_out 1",
        "levee_runtime_silence_seconds 0.25",
        r#"levee_previous_stop{how="killed"} 1"#,
        r#"levee_previous_stop{how="clean"} 0"#,
        r#"levee_upstream_info{upstream="rates",owner="team-\"pricing\""} 1"#,
        r#"levee_upstream_connections{upstream="rates",state="open"} 4"#,
        r#"levee_upstream_connections{upstream="rates",state="idle"} 1"#,
        r#"levee_upstream_dials_total{upstream="rates"} 9"#,
        r#"levee_cache_stale_runway_seconds{upstream="rates"} 90"#,
        r#"levee_breaker_forced{upstream="rates",operation="",mode="metrics_only"} 1"#,
        r#"levee_breaker_forced{upstream="rates",operation="",mode="forced_open"} 0"#,
    ] {
        has(&document, line);
    }
}

#[test]
fn questions_to_redis_are_counted_and_only_answers_are_timed() {
    let mut readings = readings(&[]);
    let redis = Arc::new(RedisMetrics::default());
    redis.ended(RedisQuestion::Answered, Duration::from_micros(700));
    redis.ended(RedisQuestion::Slow, Duration::from_millis(25));
    readings.redis = Some(RedisReading { counted: redis, breaker_open: false });
    let document = text(&metrics_with(&[]), &readings);
    for line in [
        r#"levee_redis_questions_total{result="answered"} 1"#,
        r#"levee_redis_questions_total{result="slow"} 1"#,
        r#"levee_redis_questions_total{result="not_asked"} 0"#,
        r#"levee_redis_question_duration_seconds_bucket{le="0.001"} 1"#,
        "levee_redis_question_duration_seconds_count 1",
        "levee_redis_breaker_open 0",
    ] {
        has(&document, line);
    }
}

#[test]
fn the_process_state_is_told() {
    let metrics = metrics_with(&[]);
    metrics.snapshot_applied(7);
    metrics.upstream_files_refused();
    metrics.draining();
    let document = text(&metrics, &Readings::default());
    for line in [
        "levee_snapshot_revision 7",
        "levee_upstream_files_valid 0",
        "levee_upstream_file_errors_total 1",
        "levee_draining 1",
    ] {
        has(&document, line);
    }
    metrics.upstream_files_accepted();
    has(&text(&metrics, &Readings::default()), "levee_upstream_files_valid 1");
}

#[test]
fn only_transitions_that_can_happen_exist_at_zero() {
    let metrics = metrics_with(&["rates"]);
    let breaker = metrics.upstream("rates").breaker("");
    let shown = || text(&metrics, &Readings::default()).matches("levee_breaker_transitions_total{").count();
    assert_eq!(shown(), 13);
    breaker.transition(BreakerState::HalfOpen, TransitionReason::Expired);
    assert_eq!(shown(), 14);
}

#[test]
fn a_forgotten_upstream_leaves_no_series() {
    let metrics = metrics_with(&["rates", "mail"]);
    let held = metrics.upstream("rates");
    metrics.forget("rates");
    held.retry(RetryReason::Reset);
    let document = text(&metrics, &readings(&["rates", "mail"]));
    assert!(!document.contains("rates"), "{document}");
    assert!(document.contains(r#"upstream="mail""#));
}

#[test]
fn a_breaker_takes_its_series_along() {
    let metrics = metrics_with(&["rates"]);
    let breaker = metrics.upstream("rates").breaker("quote");
    breaker.transition(BreakerState::Open, TransitionReason::FailureRate);
    assert!(Arc::ptr_eq(&breaker, &metrics.upstream("rates").breaker("quote")));
    drop(breaker);
    assert!(!text(&metrics, &Readings::default()).contains("quote"));
}

#[test]
fn upstreams_above_the_cap_share_one_label() {
    let names: Vec<String> = (0..1003).map(|number| format!("up-{number:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let metrics = metrics_with(&names);
    metrics.upstream("up-1001").retry(RetryReason::Reset);
    metrics.upstream("up-1002").retry(RetryReason::Reset);
    let document = text(&metrics, &readings(&names));
    has(&document, r#"levee_retries_total{upstream="_other",reason="reset"} 2"#);
    has(&document, r#"levee_inflight{upstream="_other"} 9"#);
    has(&document, r#"levee_inflight{upstream="up-0999"} 3"#);
    assert!(!document.contains("up-1001"));
}

#[test]
fn control_plane_requests_are_counted_by_template_and_bounded() {
    let metrics = metrics_with(&[]);
    let took = Duration::from_millis(3);
    metrics.http_request(&Method::GET, Some("/api/v1/breakers/:upstream"), StatusCode::OK, took);
    metrics.http_request(&Method::GET, None, StatusCode::NOT_FOUND, took);
    for number in 0..500 {
        metrics.http_request(&Method::GET, Some(&format!("/{number}")), StatusCode::OK, took);
    }
    let document = text(&metrics, &Readings::default());
    has(
        &document,
        r#"levee_http_requests_total{method="GET",route="/api/v1/breakers/:upstream",status="200"} 1"#,
    );
    has(&document, r#"levee_http_requests_total{method="GET",route="_other",status="404"} 1"#);
    has(&document, r#"levee_http_request_duration_seconds_count{route="_other"} 303"#);
}

#[tokio::test]
async fn names_follow_the_conventions() {
    let metrics = metrics_with(&["rates"]);
    let _breaker = metrics.upstream("rates").breaker("");
    metrics.http_request(&Method::GET, Some("/docs"), StatusCode::OK, Duration::ZERO);
    metrics.issuer_fetch("kubernetes", IssuerFetch::Ok);
    let mut readings = readings(&["rates"]);
    readings.runtime = Some(tokio::runtime::Handle::current().metrics());
    let gathered = metrics.gather(&readings);
    for family in &gathered {
        let name = family.name();
        assert!(name.starts_with("levee_") || name.starts_with("process_"), "{name}");
        assert!(!family.help().is_empty() && family.help().ends_with('.'), "{name}: {}", family.help());
        let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(counter, name.ends_with("_total"), "{name}");
        let odd_units = ["_ms", "_millis", "_micros", "_minutes", "_hours", "_kb", "_mb", "_kib", "_percent"];
        assert!(!odd_units.iter().any(|unit| name.ends_with(unit)), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
    }
    let names: std::collections::BTreeSet<&str> = gathered.iter().map(MetricFamily::name).collect();
    assert_eq!(names.len(), gathered.len(), "each family once");
    for family in families::ALL {
        assert!(names.contains(family.open().close().name()), "{family:?} has samples");
    }
}

#[test]
fn open_metrics_names_counters_without_the_suffix_and_ends_with_eof() {
    let metrics = Metrics::new("0.1.0", "a\"b\\c");
    metrics.upstream("rates").attempt(AttemptResult::Success, Duration::from_millis(1));
    let document = metrics.render(Format::OpenMetrics, &Readings::default());
    for line in [
        "# TYPE levee_attempts counter",
        r#"levee_attempts_total{upstream="rates",result="success"} 1"#,
        "# TYPE levee_attempt_duration_seconds histogram",
        r#"levee_attempt_duration_seconds_bucket{upstream="rates",le="1.0"} 1"#,
        r#"levee_attempt_duration_seconds_bucket{upstream="rates",le="+Inf"} 1"#,
        r#"levee_attempt_duration_seconds_sum{upstream="rates"} 0.001"#,
        r#"levee_build_info{version="0.1.0",revision="a\"b\\c"} 1"#,
    ] {
        has(&document, line);
    }
    assert!(document.ends_with("\n# EOF\n"));
    assert!(document.lines().all(|line| !line.is_empty()));
}

#[test]
fn the_accept_header_picks_the_format() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    for plain in ["", "*/*", "text/plain", "application/openmetrics-text;q=0", "text/html,application/xml"] {
        assert_eq!(Format::accepted(plain), Format::Prometheus, "{plain}");
    }
}

#[test]
fn a_recorded_trace_is_the_example_of_its_bucket_in_open_metrics_alone() {
    let metrics = metrics_with(&["rates"]);
    let mut headers = http::HeaderMap::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent", parent.parse().unwrap());
    let trace = TraceName::of_caller(&headers);
    let rates = metrics.upstream("rates");
    rates.call(&Method::GET, Outcome::Cache, Duration::from_micros(1500), trace);
    rates.call(&Method::GET, Outcome::Cache, Duration::from_secs(60), trace);
    let document = metrics.render(Format::OpenMetrics, &Readings::default());
    let example = |bound: &str| {
        let series = format!(
            "levee_call_duration_seconds_bucket{{upstream=\"rates\",outcome=\"cache\",le=\"{bound}\"}} "
        );
        let line = document.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
        line.split_once(" # ").map(|(_, example)| example.rsplit_once(' ').unwrap().0.to_owned())
    };
    let named = "{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"}";
    assert_eq!(example("0.002"), Some(format!("{named} 0.0015")));
    assert_eq!(example("+Inf"), Some(format!("{named} 60")));
    assert_eq!(example("0.005"), None);
    assert!(!text(&metrics, &Readings::default()).contains("trace_id"));
}
