//! What a request may ask of the cache (RFC 9111 section 5.2.1).

use super::Fate::{Asked, Confirmed, Reused};
use super::*;

const FRESH: &str = "Cache-Control: max-age=3600";

#[tokio::test]
async fn a_caller_may_want_it_fresher() {
    let tag = "ETag: \"a\"";
    let half_old = [FRESH, "Age: 1800"];
    Stage::set()
        .await
        .check(vec![
            case("5.2.1.4 no-cache", &[FRESH], Asked).then_with(&["Cache-Control: no-cache"]),
            case("5.2.1.4 no-cache with a validator", &[FRESH, tag], Confirmed)
                .then_with(&["Cache-Control: no-cache"]),
            case("5.2.1.4 in capitals", &[FRESH], Asked).then_with(&["Cache-Control: NO-CACHE"]),
            case("5.4 Pragma: no-cache from an old client", &[FRESH], Asked).then_with(&["Pragma: no-cache"]),
            case("5.4 Pragma does not count beside Cache-Control", &[FRESH], Reused)
                .then_with(&["Pragma: no-cache", "Cache-Control: max-age=3600"]),
            case("5.2.1.1 max-age=0", &[FRESH], Asked).then_with(&["Cache-Control: max-age=0"]),
            case("5.2.1.1 a max-age below its age", &half_old, Asked)
                .then_with(&["Cache-Control: max-age=60"]),
            case("5.2.1.1 a max-age above its age", &half_old, Reused)
                .then_with(&["Cache-Control: max-age=2000"]),
            case("5.2.1.3 a min-fresh it has", &half_old, Reused)
                .then_with(&["Cache-Control: min-fresh=1000"]),
            case("5.2.1.3 a min-fresh it has not", &half_old, Asked)
                .then_with(&["Cache-Control: min-fresh=2000"]),
            case("5.2.1.5 no-store is answered by the upstream", &[FRESH], Asked)
                .then_with(&["Cache-Control: no-store"]),
            case("5.2.1.5 and its answer is not kept", &[FRESH], Asked)
                .asked_with(&["Cache-Control: no-store"]),
            case("5.2.3 an unknown directive", &[FRESH], Reused).then_with(&["Cache-Control: x-please=1"]),
        ])
        .await;
}

#[tokio::test]
async fn a_caller_may_take_it_stale_where_the_answer_lets_it() {
    let old = ["Cache-Control: max-age=60", "Age: 600", "ETag: \"a\""];
    let with = |directives: &'static str| [directives, "Age: 600", "ETag: \"a\""];
    Stage::set()
        .await
        .check(vec![
            case("5.2.1.2 max-stale without a number", &old, Reused).then_with(&["Cache-Control: max-stale"]),
            case("5.2.1.2 max-stale that reaches", &old, Reused)
                .then_with(&["Cache-Control: max-stale=1000"]),
            case("5.2.1.2 max-stale that does not", &old, Confirmed)
                .then_with(&["Cache-Control: max-stale=100"]),
            case(
                "5.2.2.2 never against must-revalidate",
                &with("Cache-Control: max-age=60, must-revalidate"),
                Confirmed,
            )
            .then_with(&["Cache-Control: max-stale"]),
            case(
                "5.2.2.8 nor proxy-revalidate",
                &with("Cache-Control: max-age=60, proxy-revalidate"),
                Confirmed,
            )
            .then_with(&["Cache-Control: max-stale"]),
            case("5.2.2.10 nor s-maxage", &with("Cache-Control: s-maxage=60"), Confirmed)
                .then_with(&["Cache-Control: max-stale"]),
            case("5.2.2.4 nor no-cache", &with("Cache-Control: max-age=60, no-cache"), Confirmed)
                .then_with(&["Cache-Control: max-stale"]),
        ])
        .await;
}

#[tokio::test]
async fn only_if_cached_asks_nobody() {
    let stage = Stage::set().await;
    let only = [header("Cache-Control: only-if-cached")];
    let absent = stage.ask(Method::GET, "/ok", &only).await;
    assert_eq!((absent.status.as_u16(), stage.server.seen("/ok")), (504, 0), "RFC 9111 5.2.1.7");
    stage.server.script("/kept", [reply(200, &[FRESH]).into()]);
    stage.get("/kept").await;
    let kept = stage.ask(Method::GET, "/kept", &only).await;
    assert_eq!((kept.status.as_u16(), kept.text(), stage.server.seen("/kept")), (200, "first", 1));
    stage.server.script("/old", [reply(200, &["Cache-Control: max-age=1", "Age: 60", "ETag: \"a\""]).into()]);
    stage.get("/old").await;
    let old = stage.ask(Method::GET, "/old", &only).await;
    assert_eq!((old.status.as_u16(), stage.server.seen("/old")), (504, 1));
}

#[tokio::test]
async fn parts_are_the_upstreams_business() {
    let stage = Stage::set().await;
    stage
        .server
        .script("/part", [reply(200, &[FRESH]).into(), reply(206, &["Content-Range: bytes 0-1/5"]).into()]);
    stage.get("/part").await;
    let part = stage.ask(Method::GET, "/part", &[header("Range: bytes=0-1")]).await;
    assert_eq!((part.status.as_u16(), stage.server.seen("/part")), (206, 2), "RFC 9110 14.2");
    assert_eq!(stage.get("/part").await.header("levee-answer"), "cache", "what was stored stays");
    Stage::set()
        .await
        .check(vec![
            case_of("3.3 a part is not stored", reply(206, &[FRESH, "Content-Range: bytes 0-4/10"]), Asked)
                .asked_with(&["Range: bytes=0-4"]),
            case_of(
                "3.3 not even where nobody asked for one",
                reply(206, &[FRESH, "Content-Range: bytes 0-4/10"]),
                Asked,
            ),
            case("RFC 9110 13.1.1 If-Match is the upstream's to judge", &[FRESH, "ETag: \"a\""], Asked)
                .then_with(&["If-Match: \"a\""]),
            case("RFC 9110 13.1.4 so is If-Unmodified-Since", &[FRESH], Asked)
                .then_with(&["If-Unmodified-Since: Mon, 01 Jan 2024 00:00:00 GMT"]),
            case("RFC 9110 13.1.5 and If-Range", &[FRESH, "ETag: \"a\""], Asked)
                .then_with(&["If-Range: \"a\"", "Range: bytes=0-1"]),
        ])
        .await;
}
