//! Cache, fallback, headers, limits: what is answered, and with what.

use std::time::Duration;

use serde_json::json;

use super::words::{
    CALL_CAUSES, HEADER_NAME, UPSTREAM_NAME, block, causes, duration, failure_statuses, field, headers, line,
    list, object,
};
use super::{Field, Kind, Object, Text};
use crate::models::decode::quantity::{DAY, GIB, MIB, MILLISECOND};

/// `cache`.
pub(super) fn cache() -> Object {
    let mut fields = freshness();
    fields.extend([
        field("shared", Kind::Boolean, "One copy for all callers, whatever `Authorization` they send.")
            .or(false),
        block("query", query()),
        field("vary", list(Kind::Text(HEADER_NAME), 16), "Request headers that join the key; not `*`.")
            .or(json!([])),
        field("maxObject", Kind::Size(1..=8 * MIB), "The largest body that is kept.").or("1MiB"),
        field(
            "tags",
            list(line(256), 16),
            "What answers can be purged by, beside the tags they name themselves.",
        )
        .or(json!([])),
    ]);
    object("CachePolicy", "What may be answered from memory.", fields)
}

fn freshness() -> Vec<Field> {
    vec![
        field(
            "mode",
            Kind::Choice(&["respect", "off", "override"]),
            "`respect`: what the response says (RFC 9111), without guessing. `override`: the `ttl`. `off`: stores nothing, \
             joins no requests.",
        )
        .or("respect"),
        field("ttl", lifetime(), "How long answers are fresh with `override`; needed there, refused elsewhere."),
        field(
            "staleWhileRevalidate",
            duration(Duration::ZERO..=7 * DAY),
            "Answer with a stale copy for so long while one request fetches a new one. Left out, the response's own \
             directive counts.",
        ),
        field(
            "negative",
            list(Kind::Object(negative()), 64),
            "Errors that are remembered where the response states no freshness of its own.",
        )
        .or(json!([])),
    ]
}

fn lifetime() -> Kind {
    duration(MILLISECOND..=30 * DAY)
}

fn negative() -> Object {
    object(
        "NegativeAnswer",
        "One status that is remembered although it is an error.",
        vec![
            field("status", Kind::Integer(400..=499), "The status; 5xx answers are never stored.").required(),
            field("ttl", lifetime(), "For how long.").required(),
        ],
    )
}

fn query() -> Object {
    object(
        "CacheQuery",
        "How the query joins the key.",
        vec![
            field("ignore", list(line(256), 64), "Parameters that are no part of the key.").or(json!([])),
            field("sort", Kind::Boolean, "Order by name, in the key only.").or(false),
        ],
    )
}

/// `fallback`, `fallbackOn`, `fallbackStatuses`.
pub(super) fn fallback() -> Vec<Field> {
    vec![
        field(
            "fallback",
            list(Kind::Object(step()), 8),
            "What answers when the upstream cannot: tried in order, the first that can answer wins.",
        ),
        field(
            "fallbackOn",
            causes(CALL_CAUSES),
            "Failures that set the chain going. Left out, it is all of them.",
        ),
        field(
            "fallbackStatuses",
            failure_statuses(),
            "Answers of the upstream that set the chain going. Left out, they are 502, 503 and 504.",
        ),
    ]
}

fn step() -> Object {
    let fields = vec![block("stale", stale()), block("upstream", upstream()), block("static", fixed())];
    object("FallbackStep", "One step of a fallback chain.", fields).exactly_one()
}

fn stale() -> Object {
    let about = "How far past its freshness the copy may be.";
    let max_age = field("maxAge", duration(Duration::from_secs(1)..=7 * DAY), about).required();
    object("StaleStep", "Answers with a stored copy; not with `cache.mode: off`.", vec![max_age])
}

fn upstream() -> Object {
    let name = field("name", Kind::Text(UPSTREAM_NAME), "Its name.").required();
    let about = "Answers with another upstream, under its own policy. The caller must be allowed on it.";
    object("UpstreamStep", about, vec![name])
}

fn fixed() -> Object {
    const BODY: Text = Text { pattern: "", most: 64 << 10 };
    object(
        "StaticStep",
        "Always answers, so it must be the last step.",
        vec![
            field("status", Kind::Integer(200..=599), "The status: 2xx, 4xx or 5xx.").or(200),
            field("headers", headers(), "The headers.").or(json!({})),
            field("body", Kind::Text(BODY), "The body, at most 64KiB.").or(""),
        ],
    )
}

/// `headers`.
pub(super) fn header_rules() -> Object {
    object(
        "HeaderPolicy",
        "Request headers that are changed on the way to the upstream. Not `Host`, not those of one connection, not `Levee-*`.",
        vec![
            field("set", headers(), "Set, in place of what the caller sent.").or(json!({})),
            field("remove", list(Kind::Text(HEADER_NAME), 64), "Removed.").or(json!([])),
        ],
    )
}

/// `limits`.
pub(super) fn limits() -> Object {
    object(
        "LimitsPolicy",
        "How large bodies may be.",
        vec![
            field("request", Kind::Size(0..=GIB), "The largest request body; a larger one is answered 413.")
                .or("10MiB"),
            field(
                "response",
                Kind::Size(1..=64 * GIB),
                "The largest response body; a larger one is broken off. Left out, it may have any size.",
            ),
        ],
    )
}
