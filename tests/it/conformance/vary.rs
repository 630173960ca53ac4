//! Which answer is for which request (RFC 9111 section 4.1; RFC 9110 section 12.5.5).

use super::Fate::{Asked, Reused};
use super::*;

const FRESH: &str = "Cache-Control: max-age=3600";

/// A case of an answer that varies, asked for with the first lines and then with the others.
fn varied(rule: &'static str, vary: &[&str], first: &[&str], then: &[&str], fate: Fate) -> Case {
    let lines: Vec<&str> = vary.iter().copied().chain([FRESH]).collect();
    case(rule, &lines, fate).asked_with(first).then_with(then)
}

#[tokio::test]
async fn an_answer_is_for_those_who_ask_alike() {
    let by_a = &["Vary: Accept-Language"][..];
    let by_both = &["Vary: Accept-Language, Accept"][..];
    let (english, german) = ("Accept-Language: en", "Accept-Language: de");
    Stage::set()
        .await
        .check(vec![
            varied("4.1 the same value", by_a, &[english], &[english], Reused),
            varied("4.1 another value", by_a, &[english], &[german], Asked),
            varied("4.1 absent the second time", by_a, &[english], &[], Asked),
            varied("4.1 absent the first time", by_a, &[], &[english], Asked),
            varied("4.1 absent both times", by_a, &[], &[], Reused),
            varied("4.1 empty is not absent", by_a, &[], &["Accept-Language: "], Asked),
            varied(
                "4.1 names are not case-sensitive",
                &["Vary: ACCEPT-language"],
                &[english],
                &[german],
                Asked,
            ),
            varied(
                "4.1 two names, both the same",
                by_both,
                &[english, "Accept: a/b"],
                &[english, "Accept: a/b"],
                Reused,
            ),
            varied(
                "4.1 two names, the first differs",
                by_both,
                &[english, "Accept: a/b"],
                &[german, "Accept: a/b"],
                Asked,
            ),
            varied(
                "4.1 two names, the second differs",
                by_both,
                &[english, "Accept: a/b"],
                &[english, "Accept: a/c"],
                Asked,
            ),
            varied(
                "4.1 two lines",
                &["Vary: Accept-Language", "Vary: Accept"],
                &[english, "Accept: a/b"],
                &[english, "Accept: a/c"],
                Asked,
            ),
            varied(
                "4.1 empty members of the list",
                &["Vary: , Accept-Language,,"],
                &[english],
                &[german],
                Asked,
            ),
            varied(
                "4.1 no space after the comma",
                &["Vary: Accept,Accept-Language"],
                &[english],
                &[german],
                Asked,
            ),
            varied(
                "4.1 a header of several lines, the same",
                by_a,
                &["Accept-Language: en", "Accept-Language: fr"],
                &["Accept-Language: en", "Accept-Language: fr"],
                Reused,
            ),
            varied(
                "4.1 a header of several lines, in another order",
                by_a,
                &["Accept-Language: en", "Accept-Language: fr"],
                &["Accept-Language: fr", "Accept-Language: en"],
                Asked,
            ),
            varied("4.1 a star is for nobody", &["Vary: *"], &[], &[], Asked),
            varied("4.1 a star among others", &["Vary: Accept-Language, *"], &[english], &[english], Asked),
            varied(
                "4.1 a star on a second line",
                &["Vary: Accept-Language", "Vary: *"],
                &[english],
                &[english],
                Asked,
            ),
            varied("4.1 an empty field names nothing", &["Vary: "], &[], &[], Reused),
            varied(
                "4.1 a header that does not vary",
                by_a,
                &[english, "User-Agent: a"],
                &[english, "User-Agent: b"],
                Reused,
            ),
        ])
        .await;
}

#[tokio::test]
async fn every_variant_is_kept() {
    let stage = Stage::set().await;
    let answer =
        |body: &'static str| Reply { body: body.into(), ..reply(200, &[FRESH, "Vary: Accept-Language"]) };
    stage
        .server
        .script("/v", [answer("english").into(), answer("german").into(), answer("asked again").into()]);
    for (language, body) in [("en", "english"), ("de", "german"), ("en", "english"), ("de", "german")] {
        let answer = stage.ask(Method::GET, "/v", &[header(&line("Accept-Language", language))]).await;
        assert_eq!(answer.text(), body, "RFC 9111 4.1");
    }
    assert_eq!(stage.server.seen("/v"), 2);
}

#[tokio::test]
async fn the_whole_target_is_part_of_the_key() {
    let stage = Stage::set().await;
    stage.server.script("/q", [reply(200, &[FRESH]).into()]);
    for (target, seen) in
        [("/q?a=1", 1), ("/q?a=2", 2), ("/q", 3), ("/q?a=1", 3), ("/q?b=1&a=1", 4), ("/q?", 5)]
    {
        stage.get(target).await;
        assert_eq!(stage.server.seen("/q"), seen, "RFC 9111 2: {target}");
    }
}
