//! Which answer is for which request (RFC 9111 section 4.1; RFC 9110 section 12.5.5).

use super::Fate::{Asked, Reused};
use super::*;

const FRESH: &str = "Cache-Control: max-age=3600";

/// A case of an answer that varies, asked for with the first lines and then with the others.
fn varied(rule: &'static str, vary: &[&str], first: &[&str], then: &[&str], fate: Fate) -> Case {
    let lines: Vec<&str> = vary.iter().copied().chain([FRESH]).collect();
    case(rule, &lines, fate).asked_with(first).then_with(then)
}

const BY_LANGUAGE: &[&str] = &["Vary: Accept-Language"];
const ENGLISH: &str = "Accept-Language: en";
const GERMAN: &str = "Accept-Language: de";

#[tokio::test]
async fn an_answer_is_for_those_who_ask_alike() {
    Stage::set()
        .await
        .check(vec![
            varied("4.1 the same value", BY_LANGUAGE, &[ENGLISH], &[ENGLISH], Reused),
            varied("4.1 another value", BY_LANGUAGE, &[ENGLISH], &[GERMAN], Asked),
            varied("4.1 absent the second time", BY_LANGUAGE, &[ENGLISH], &[], Asked),
            varied("4.1 absent the first time", BY_LANGUAGE, &[], &[ENGLISH], Asked),
            varied("4.1 absent both times", BY_LANGUAGE, &[], &[], Reused),
            varied("4.1 empty is not absent", BY_LANGUAGE, &[], &["Accept-Language: "], Asked),
            varied("4.1 a star is for nobody", &["Vary: *"], &[], &[], Asked),
            varied("4.1 an empty field names nothing", &["Vary: "], &[], &[], Reused),
        ])
        .await;
}

#[tokio::test]
async fn names_are_found_in_every_spelling_of_the_field() {
    let different = [
        ("4.1 names are not case-sensitive", &["Vary: ACCEPT-language"][..]),
        ("4.1 empty members of the list", &["Vary: , Accept-Language,,"]),
        ("4.1 no space after the comma", &["Vary: Accept,Accept-Language"]),
        ("4.1 two lines", &["Vary: Accept", "Vary: Accept-Language"]),
        ("4.1 a star among others", &["Vary: User-Agent, *"]),
        ("4.1 a star on a second line", &["Vary: User-Agent", "Vary: *"]),
    ];
    let cases = different.map(|(rule, vary)| varied(rule, vary, &[ENGLISH], &[GERMAN], Asked));
    Stage::set().await.check(cases.into()).await;
}

#[tokio::test]
async fn all_of_several_headers_count() {
    let both = &["Vary: Accept-Language, Accept"][..];
    let several = ["Accept-Language: en", "Accept-Language: fr"];
    let turned = ["Accept-Language: fr", "Accept-Language: en"];
    let (text, image) = ("Accept: text/plain", "Accept: image/png");
    Stage::set()
        .await
        .check(vec![
            varied("4.1 both the same", both, &[ENGLISH, text], &[ENGLISH, text], Reused),
            varied("4.1 the first differs", both, &[ENGLISH, text], &[GERMAN, text], Asked),
            varied("4.1 the second differs", both, &[ENGLISH, text], &[ENGLISH, image], Asked),
            varied("4.1 several lines, the same", BY_LANGUAGE, &several, &several, Reused),
            varied("4.1 several lines, in another order", BY_LANGUAGE, &several, &turned, Asked),
            varied(
                "4.1 one that does not vary",
                BY_LANGUAGE,
                &[ENGLISH, "User-Agent: a"],
                &[ENGLISH, "User-Agent: b"],
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
