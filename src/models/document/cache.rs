//! `cache`: what may be answered from memory.

use std::time::Duration;

use http::HeaderName;

use crate::models::decode::quantity::{DAY, MIB, MILLISECOND};
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{Cache, CacheMode, NegativeAnswer};

/// The fields of the block.
pub(super) const FIELDS: Fields = Fields::all(&[
    "mode",
    "ttl",
    "staleWhileRevalidate",
    "shared",
    "negative",
    "query",
    "vary",
    "maxObject",
    "tags",
]);

const QUERY: Fields = Fields::all(&["ignore", "sort"]);
const NEGATIVE: Fields = Fields::all(&["status", "ttl"]);
const MODES: &[(&str, CacheMode)] =
    &[("respect", CacheMode::Respect), ("off", CacheMode::Off), ("override", CacheMode::Override)];
const LONGEST_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads the block.
pub(super) fn read(block: &Object) -> Cache {
    let mode = block.read("mode", |place| place.choice(MODES)).unwrap_or(CacheMode::Respect);
    let ttl = block.read("ttl", |place| place.duration(MILLISECOND..=LONGEST_TTL));
    block.contradiction("mode", &["ttl"], mode == CacheMode::Override && ttl.is_none(), || {
        "`override` needs a `ttl`".to_owned()
    });
    block.contradiction("ttl", &["mode"], mode != CacheMode::Override, || {
        "is used only with `mode: override`".to_owned()
    });
    let query = block.block("query", QUERY);
    Cache {
        mode,
        ttl,
        stale_while_revalidate: block
            .read("staleWhileRevalidate", |place| place.duration(Duration::ZERO..=7 * DAY)),
        shared: block.read("shared", Place::boolean).unwrap_or(false),
        negative: block.read("negative", negative).unwrap_or_default(),
        query_ignore: query.read("ignore", ignored_parameters).unwrap_or_default(),
        query_sort: query.read("sort", Place::boolean).unwrap_or(false),
        vary: block.read("vary", vary).unwrap_or_default(),
        max_object: block.read("maxObject", |place| place.size(1..=8 * MIB)).unwrap_or(MIB),
        tags: block.read("tags", tags).unwrap_or_default(),
    }
}

fn negative(place: &Place) -> Option<Vec<NegativeAnswer>> {
    let mut answers: Vec<NegativeAnswer> = Vec::new();
    for item in place.list(64)? {
        let Some(block) = item.object(NEGATIVE) else { continue };
        let status = block.required("status", Place::failure_status);
        let ttl = block.required("ttl", |place| place.duration(MILLISECOND..=LONGEST_TTL));
        let (Some(status), Some(ttl)) = (status, ttl) else { continue };
        let repeated = answers.iter().any(|answer| answer.status == status);
        block.contradiction("status", &[], status.is_server_error(), || {
            "5xx answers are never stored".to_owned()
        });
        block.contradiction("status", &[], repeated, || format!("{} stands here twice", status.as_u16()));
        answers.push(NegativeAnswer { status, ttl });
    }
    Some(answers)
}

fn ignored_parameters(place: &Place) -> Option<Vec<String>> {
    place.list_of(64, |item| item.line(256).map(str::to_owned))
}

fn tags(place: &Place) -> Option<Vec<String>> {
    place.list_of(16, |item| item.line(256).map(str::to_owned))
}

fn vary(place: &Place) -> Option<Vec<HeaderName>> {
    place.list_of(16, |item| {
        if item.text(256)? == "*" {
            item.refuse("`*` would match no stored answer; use `mode: off`");
            return None;
        }
        item.header_name()
    })
}
