//! Timeout, retry, breaker, concurrency, quota: how an attempt is made.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::json;

use super::words::{ATTEMPT_CAUSES, RATE, block, causes, duration, failure_statuses, field, methods, object};
use super::{Kind, Object};
use crate::models::decode::quantity::{DAY, HOUR, MIB, MILLISECOND};

const MINUTE: Duration = Duration::from_secs(60);
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// `timeout`.
pub(super) fn timeout() -> Object {
    let limit = || duration(MILLISECOND..=HOUR);
    object(
        "TimeoutPolicy",
        "The time limits of a call.",
        vec![
            field(
                "total",
                limit(),
                "From the call's arrival until the answer's headers go to the caller; callers can shorten it.",
            )
            .or("30s"),
            field(
                "attempt",
                limit(),
                "One exchange, to its headers; must be below `total`. Left out, it is 10s or `total` if that is less, and \
                 all of `total` where the request cannot be repeated.",
            ),
            field(
                "connect",
                duration(MILLISECOND..=MINUTE),
                "Looking up the name, TCP and TLS; part of an attempt, so at most `attempt`. Left out, it is 1s, or less \
                 if an attempt has less.",
            ),
            field("idleBody", limit(), "The longest silence inside a body, in either direction.").or("30s"),
            field(
                "body",
                duration(MILLISECOND..=DAY),
                "The longest a response body may take as a whole. Left out, it may take any time.",
            ),
        ],
    )
}

/// `retry`.
pub(super) fn retry() -> Object {
    object(
        "RetryPolicy",
        "When and how to try again.",
        vec![
            field("attempts", Kind::Integer(1..=10), "Attempts in all, the first included; 1 is off.").or(3),
            field("on", causes(ATTEMPT_CAUSES), "Failures that are worth another attempt.")
                .or(json!(ATTEMPT_CAUSES)),
            field(
                "statuses",
                failure_statuses(),
                "Answers that are worth another attempt; an empty list for none.",
            )
            .or(json!([502, 503, 504])),
            field(
                "methods",
                methods(1),
                "Methods that may be retried. Left out, they are the idempotent ones: GET, HEAD, OPTIONS, PUT, DELETE. \
                 POST and PATCH only with `idempotencyKey`.",
            ),
            field(
                "idempotencyKey",
                Kind::Choice(&["honoured"]),
                "The upstream recognises `Idempotency-Key`, so a listed method that carries one may be repeated.",
            ),
            block("backoff", backoff()),
            block("budget", budget()),
            field(
                "maxBody",
                Kind::Size(0..=16 * MIB),
                "A request body up to this size is held so that it can be sent again; at most `limits.request`.",
            )
            .or("64KiB"),
        ],
    )
}

fn backoff() -> Object {
    let wait = || duration(MILLISECOND..=10 * MINUTE);
    object(
        "RetryBackoff",
        "The pause before another attempt: random, from 0 to the smaller of `cap` and `base` doubled each time.",
        vec![
            field("base", wait(), "What the first pause is at most.").or("50ms"),
            field("cap", wait(), "What any pause is at most; not below `base`.").or("2s"),
            field("throttledBase", wait(), "`base` after the statuses 429 and 503; not above `cap`.")
                .or("1s"),
        ],
    )
}

fn budget() -> Object {
    object(
        "RetryBudget",
        "How many retries there may be among all callers' calls.",
        vec![
            field("percent", Kind::Number(100), "Retries as a share of calls, in percent.").or(20),
            field("minPerSecond", Kind::Number(10_000), "Retries per second that are always allowed.").or(3),
            field("window", duration(WINDOW), "What is looked back on.").or("10s"),
        ],
    )
}

/// `breaker`.
pub(super) fn breaker() -> Object {
    let mut fields = trips();
    fields.extend([
        block("slowCall", slow_call()),
        block("open", open()),
        block("halfOpen", half_open()),
        field(
            "mode",
            Kind::Choice(&["auto", "metrics_only"]),
            "`metrics_only` refuses nothing, and logs and counts what it would have done.",
        )
        .or("auto"),
        block("fleet", fleet()),
    ]);
    object("BreakerPolicy", "When to stop calling, and when to try again.", fields)
}

fn trips() -> Vec<super::Field> {
    vec![
        block("window", window()),
        field(
            "minimumCalls",
            Kind::Integer(1..=100_000),
            "No verdict on fewer calls; at most `window.calls`. Left out, it is 20, or `window.calls` if that is less.",
        ),
        field("failureRate", Kind::Ratio, "Opens at this share of failures.").or(0.5),
        field("failOn", causes(ATTEMPT_CAUSES), "Failures that count.").or(json!(ATTEMPT_CAUSES)),
        field("failStatuses", failure_statuses(), "Answers that count as failures.")
            .or(json!([502, 503, 504])),
        field(
            "consecutiveFailures",
            Kind::Integer(0..=10_000),
            "Opens after so many failures without any answer in a row; 0 is off.",
        )
        .or(5),
    ]
}

fn window() -> Object {
    object(
        "BreakerWindow",
        "What the breaker looks back on. Left out, it is 30s, or twice the attempt timeout if that is more.",
        vec![
            field(
                "duration",
                duration(WINDOW),
                "The calls of the last while; at least twice the attempt timeout.",
            ),
            field("calls", Kind::Integer(10..=10_000), "The last so many calls."),
        ],
    )
    .exactly_one()
}

fn slow_call() -> Object {
    object(
        "BreakerSlowCall",
        "Opens at this share of slow answers. Left out, slowness does not count.",
        vec![
            field("threshold", duration(MILLISECOND..=HOUR), "Slower than this, to its headers, is slow.")
                .required(),
            field("rate", Kind::Ratio, "Opens at this share of slow calls.").required(),
        ],
    )
}

fn open() -> Object {
    object(
        "BreakerOpenPeriod",
        "How long calls are refused; doubles each time in a row, give or take 20 %.",
        vec![
            field("base", duration(MILLISECOND..=HOUR), "The first open period.").or("5s"),
            field("cap", duration(MILLISECOND..=HOUR), "The longest open period; not below `base`.")
                .or("60s"),
        ],
    )
}

fn half_open() -> Object {
    let about = "How many calls may try at once, and how many must go well.";
    let probes = field("probes", Kind::Integer(1..=1000), about).or(3);
    object("BreakerHalfOpen", "What is let through after an open period.", vec![probes])
}

fn fleet() -> Object {
    let about = "Opens also where at least two other replicas, and half of all, saw it fail themselves.";
    let adopt = field("adopt", Kind::Boolean, about).or(false);
    object("BreakerFleet", "What other replicas have to say, by way of Redis.", vec![adopt])
}

/// `concurrency`.
pub(super) fn concurrency() -> Object {
    object(
        "ConcurrencyPolicy",
        "How many at once.",
        vec![
            field("limit", Kind::Integer(1..=65_536), "Attempts in flight, until their bodies have ended.")
                .or(256),
            field("queue", Kind::Integer(0..=65_536), "Attempts waiting for a seat.").or(256),
            field("queueTimeout", duration(MILLISECOND..=MINUTE), "The longest wait for a seat.").or("100ms"),
            field("perCaller", Kind::Integer(1..=65_536), "Calls of one caller in flight.").or(64),
        ],
    )
}

/// `quota`.
pub(super) fn quota() -> Object {
    object(
        "QuotaPolicy",
        "How many attempts in a while. Left out, there is no quota.",
        vec![
            field("rate", Kind::Text(RATE), "Attempts in the long run, by `s`, `m`, `h` or `d`: `100/s`, `5000/h`.")
                .required(),
            field(
                "burst",
                Kind::Integer(1..=100_000),
                "Attempts at once after a rest. Left out, what is earned in 100ms, at least 1.",
            ),
            field(
                "scope",
                Kind::Choice(&["fleet", "replica"]),
                "Whose attempts count: those of all replicas together, or of each for itself.",
            )
            .or("fleet"),
            field(
                "onExhausted",
                Kind::Choice(&["wait", "reject"]),
                "Whether an attempt waits in line for as long as its call has, or is refused at once.",
            )
            .or("wait"),
            field(
                "onStoreLoss",
                Kind::Choice(&["local_share", "open", "closed"]),
                "What counts while Redis is away: each replica's share of the rate, nothing, or everything is refused. Only \
                 with `scope: fleet`.",
            )
            .or("local_share"),
        ],
    )
}
