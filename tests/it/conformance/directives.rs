//! Directives of responses, in every spelling (RFC 9111 sections 5.2.2 and 5.4, RFC 9213).

use super::Fate::{Asked, Confirmed, Reused};
use super::*;

const FRESH: &str = "Cache-Control: max-age=3600";

#[tokio::test]
async fn what_must_not_be_stored_is_not() {
    Stage::set()
        .await
        .check(vec![
            case("5.2.2.5 no-store", &["Cache-Control: no-store"], Asked),
            case("5.2.2.5 no-store beside a lifetime", &["Cache-Control: max-age=3600, no-store"], Asked),
            case("5.2.2.5 before it", &["Cache-Control: no-store, max-age=3600"], Asked),
            case("5.2.2.5 on a second line", &[FRESH, "Cache-Control: no-store"], Asked),
            case("5.2.2.5 in capitals", &["Cache-Control: max-age=3600, NO-STORE"], Asked),
            case("5.2.2.5 in mixed case", &["Cache-Control: max-age=3600, No-Store"], Asked),
            case("5.2.2.5 without spaces", &["Cache-Control: max-age=3600,no-store"], Asked),
            case("5.2.2.5 with empty members", &["Cache-Control: , ,max-age=3600, ,no-store,"], Asked),
            case(
                "5.2.2.5 with an argument it does not have",
                &["Cache-Control: max-age=3600, no-store=1"],
                Asked,
            ),
            case("5.2.2.7 private", &["Cache-Control: max-age=3600, private"], Asked),
            case("5.2.2.7 private in mixed case", &["Cache-Control: max-age=3600, Private"], Asked),
            case(
                "5.2.2.7 private with names of fields",
                &["Cache-Control: max-age=3600, private=\"x-a\""],
                Asked,
            ),
            case("5.2.2.7 private beside public", &["Cache-Control: public, max-age=3600, private"], Asked),
            case("5.2 a quote that never ends", &["Cache-Control: max-age=3600, x=\"no-store"], Asked),
            case(
                "5.2.2.3 must-understand lifts no-store for a status that is understood",
                &["Cache-Control: must-understand, no-store, max-age=3600"],
                Reused,
            ),
            case_of(
                "5.2.2.3 and for no other",
                reply(299, &["Cache-Control: must-understand, no-store, max-age=3600"]),
                Asked,
            ),
            case_of(
                "5.2.2.3 must-understand alone, of a strange status",
                reply(299, &["Cache-Control: must-understand, max-age=3600"]),
                Asked,
            ),
            case("RFC 6265 3 an answer with a cookie", &[FRESH, "Set-Cookie: a=b"], Asked),
        ])
        .await;
}

#[tokio::test]
async fn what_does_not_forbid_storing_does_not() {
    Stage::set()
        .await
        .check(vec![
            case("5.2.3 an unknown directive", &["Cache-Control: max-age=3600, community=\"UCI\""], Reused),
            case(
                "5.2.3 an unknown directive before it",
                &["Cache-Control: x-no-store, max-age=3600"],
                Reused,
            ),
            case(
                "5.2 a directive inside a quoted string is none",
                &["Cache-Control: max-age=3600, x=\"no-store, private\""],
                Reused,
            ),
            case(
                "5.2 an escaped quote inside one",
                &["Cache-Control: x=\"a\\\", no-store, b\", max-age=3600"],
                Reused,
            ),
            case("5.2 names are not case-sensitive", &["Cache-Control: MAX-AGE=3600"], Reused),
            case("5.2 nor in part", &["cache-control: Max-Age=3600"], Reused),
            case("5.2 lifetime on a second line", &["Cache-Control: public", FRESH], Reused),
            case("5.2.2.9 public", &["Cache-Control: public, max-age=3600"], Reused),
            case("5.2.2.6 no-transform", &["Cache-Control: no-transform, max-age=3600"], Reused),
            case("RFC 8246 immutable", &["Cache-Control: immutable, max-age=3600"], Reused),
            case("5.4 Pragma means nothing in a response", &["Pragma: no-cache", FRESH], Reused),
            case("5.5 Warning is ignored", &["Warning: 110 - \"stale\"", FRESH], Reused),
            case(
                "4.2.4 must-revalidate means nothing while it is fresh",
                &["Cache-Control: max-age=3600, must-revalidate"],
                Reused,
            ),
            case(
                "4.2.4 nor does proxy-revalidate",
                &["Cache-Control: max-age=3600, proxy-revalidate"],
                Reused,
            ),
        ])
        .await;
}

#[tokio::test]
async fn what_must_be_confirmed_is_asked_for() {
    let tag = "ETag: \"a\"";
    Stage::set()
        .await
        .check(vec![
            case(
                "5.2.2.4 no-cache with a validator",
                &["Cache-Control: max-age=3600, no-cache", tag],
                Confirmed,
            ),
            case("5.2.2.4 no-cache in capitals", &["Cache-Control: NO-CACHE, max-age=3600", tag], Confirmed),
            case(
                "5.2.2.4 no-cache with names of fields",
                &["Cache-Control: max-age=3600, no-cache=\"x-a\"", tag],
                Confirmed,
            ),
            case("5.2.2.4 no-cache with no validator", &["Cache-Control: max-age=3600, no-cache"], Asked),
            case("5.2.2.4 on a second line", &[FRESH, "Cache-Control: no-cache", tag], Confirmed),
            case(
                "4.2.4 a stale answer with a validator",
                &["Cache-Control: max-age=1", "Age: 60", tag],
                Confirmed,
            ),
            case(
                "4.2.4 a stale answer with a date of change",
                &["Cache-Control: max-age=1", "Age: 60", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"],
                Confirmed,
            ),
            case("4.2.4 a stale answer with neither", &["Cache-Control: max-age=1", "Age: 60"], Asked),
        ])
        .await;
}

#[tokio::test]
async fn the_field_for_shared_caches_replaces_the_other() {
    let never = "Cache-Control: no-store";
    let targeted = |value: &str| line("CDN-Cache-Control", value);
    let reused = [
        "max-age=3600",
        "max-age=3600, x=1",
        "max-age=3600;a=b",
        "max-age=1, max-age=3600",
        "x=?0, max-age=3600",
    ]
    .map(|value| {
        case("RFC 9213 2.1 it counts where it is there and valid", &[never, &targeted(value)], Reused)
    });
    // Invalid as a structured field, so that the field for everybody counts, which forbids.
    let invalid = [
        "max-age=\"3600\"",
        "max-age=3600.0",
        "Max-Age=3600",
        "max-age",
        "",
        "max-age=3600,",
        "max-age=3600, =",
        "&",
    ]
    .map(|value| {
        case("RFC 9213 2.1 where it is invalid the other counts", &[never, &targeted(value)], Asked)
    });
    let forbidding =
        ["no-store", "max-age=0", "private, max-age=3600", "no-cache", "must-revalidate, max-age=0"].map(
            |value| case("RFC 9213 2.1 it forbids what the other allows", &[FRESH, &targeted(value)], Asked),
        );
    let expires = line("Expires", &date(3600));
    let stage = Stage::set().await;
    stage.check(reused.into_iter().chain(invalid).chain(forbidding).collect()).await;
    let silent = case(
        "RFC 9213 2.2 Expires does not count beside it",
        &[&expires, "CDN-Cache-Control: public"],
        Asked,
    );
    Stage::set().await.check(vec![silent]).await;
}

#[tokio::test]
async fn a_stale_answer_stands_in_only_where_it_may() {
    let stage = Stage::set().await;
    let close = || Behaviour::RawThenClose(bytes::Bytes::new());
    let old = ["ETag: \"a\"", "Age: 60"];
    for (number, (directives, stands_in)) in [
        ("max-age=1", false),
        ("max-age=1, stale-if-error=3600", true),
        ("max-age=1, stale-if-error=10", false),
        ("max-age=1, stale-if-error=3600, must-revalidate", false),
        ("max-age=1, stale-if-error=3600, proxy-revalidate", false),
        ("max-age=1, stale-if-error=3600, no-cache", false),
        ("s-maxage=1, stale-if-error=3600", true),
        ("s-maxage=1", false),
        ("max-age=1, stale-if-error=\"3600\"", true),
        ("max-age=1, stale-if-error=soon", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/error/{number}");
        let directives_line = line("Cache-Control", directives);
        stage.server.script(&path, [reply(200, &[old[0], old[1], &directives_line]).into(), close()]);
        stage.get(&path).await;
        let second = stage.get(&path).await;
        let (status, by) = (second.status.as_u16(), second.header("levee-answer"));
        let expected = if stands_in { (200, "cache") } else { (502, "levee") };
        assert_eq!((status, by), expected, "RFC 9111 4.2.4, RFC 5861 4: {directives}");
    }
}
