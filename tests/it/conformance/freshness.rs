//! How long an answer is fresh (RFC 9111 sections 4.2, 5.1 and 5.3).

use super::Fate::{Asked, Confirmed, Reused};
use super::*;

const HOUR: i64 = 3600;

#[tokio::test]
async fn a_lifetime_is_what_the_answer_says() {
    let (past, future, now) = (date(-HOUR), date(HOUR), date(0));
    let (ago, expired) = (line("Expires", &past), line("Expires", &now));
    let ahead = line("Expires", &future);
    let dated = line("Date", &now);
    let long_ago = line("Date", &date(-2 * HOUR));
    let an_hour_ago = line("Expires", &past);
    Stage::set()
        .await
        .check(vec![
            case("4.2.1 max-age makes it fresh", &["Cache-Control: max-age=3600"], Reused),
            case("4.2.1 max-age=0 does not", &["Cache-Control: max-age=0"], Asked),
            case(
                "4.2.2 nothing is guessed where nothing is said",
                &["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"],
                Confirmed,
            ),
            case("5.3 Expires in the future", &[&ahead, &dated], Reused),
            case("5.3 Expires without Date counts from the arrival", &[&ahead], Reused),
            case("5.3 Expires in the past", &[&ago, &dated], Asked),
            case("5.3 Expires at the Date", &[&expired, &dated], Asked),
            case("5.3 Expires is relative to Date", &[&an_hour_ago, &long_ago], Asked),
            case("5.3 Expires: 0 is in the past", &["Expires: 0", &dated], Asked),
            case("5.3 Expires: garbage is in the past", &["Expires: tomorrow", &dated], Asked),
            case(
                "5.3 two Expires that differ are in the past",
                &[&ahead, "Expires: Tue, 01 Jan 2030 00:00:00 GMT", &dated],
                Asked,
            ),
            case(
                "4.2.1 max-age beats an Expires in the past",
                &[&ago, "Cache-Control: max-age=3600"],
                Reused,
            ),
            case(
                "4.2.1 max-age=0 beats an Expires in the future",
                &[&ahead, "Cache-Control: max-age=0"],
                Asked,
            ),
            case("4.2.1 s-maxage beats max-age=0", &["Cache-Control: max-age=0, s-maxage=3600"], Reused),
            case("4.2.1 s-maxage=0 beats max-age", &["Cache-Control: max-age=3600, s-maxage=0"], Asked),
            case(
                "4.2.1 s-maxage beats an Expires in the past",
                &[&ago, "Cache-Control: s-maxage=3600"],
                Reused,
            ),
            case(
                "4.2.1 the order of directives does not matter",
                &["Cache-Control: s-maxage=3600, max-age=0"],
                Reused,
            ),
        ])
        .await;
}

#[tokio::test]
async fn dates_are_read_in_all_three_formats() {
    // An hour and a day from the epoch of tests that never come near it: 2037.
    let dated = line("Date", &date(0));
    Stage::set()
        .await
        .check(vec![
            case("RFC 9110 5.6.7 IMF-fixdate", &["Expires: Sun, 01 Mar 2037 08:00:00 GMT", &dated], Reused),
            case("RFC 9110 5.6.7 RFC 850's", &["Expires: Sunday, 01-Mar-37 08:00:00 GMT", &dated], Reused),
            case("RFC 9110 5.6.7 asctime's", &["Expires: Sun Mar  1 08:00:00 2037", &dated], Reused),
            case(
                "RFC 9110 5.6.7 another zone is no HTTP date",
                &["Expires: Sun, 01 Mar 2037 08:00:00 PST", &dated],
                Asked,
            ),
            case("RFC 9110 5.6.7 a number is no HTTP date", &["Expires: 2119593600", &dated], Asked),
        ])
        .await;
}

#[tokio::test]
async fn an_answer_is_as_old_as_age_and_date_say() {
    let (hour_ago, two_hours_ago, ahead) = (date(-HOUR / 2), date(-2 * HOUR), date(HOUR));
    let (half, twice, future) = (line("Date", &hour_ago), line("Date", &two_hours_ago), line("Date", &ahead));
    let fresh = "Cache-Control: max-age=3600";
    Stage::set()
        .await
        .check(vec![
            case("4.2.3 Age below the lifetime", &[fresh, "Age: 1800"], Reused),
            case("4.2.3 Age above the lifetime", &[fresh, "Age: 7200"], Asked),
            case("4.2.3 Age equal to the lifetime", &[fresh, "Age: 3600"], Asked),
            case("4.2.3 a Date half an hour ago", &[fresh, &half], Reused),
            case("4.2.3 a Date two hours ago", &[fresh, &twice], Asked),
            case("4.2.3 a Date in the future makes it no younger", &[fresh, &future], Reused),
            case("4.2.3 the older of the two counts (Age)", &[fresh, &half, "Age: 7200"], Asked),
            case("4.2.3 the older of the two counts (Date)", &[fresh, &twice, "Age: 0"], Asked),
            case("1.2.2 an Age beyond 2^31", &[fresh, "Age: 2147483649"], Asked),
            case("1.2.2 an Age beyond 2^64", &[fresh, "Age: 99999999999999999999999"], Asked),
            case("5.1 the first of several Ages counts (old)", &[fresh, "Age: 7200, 0"], Asked),
            case("5.1 the first of several Ages counts (young)", &[fresh, "Age: 0, 7200"], Reused),
            case("5.1 an Age that is no number is ignored", &[fresh, "Age: soon"], Reused),
            case("5.1 a negative Age is ignored", &[fresh, "Age: -7200"], Reused),
            case("5.1 an Age with a fraction is ignored", &[fresh, "Age: 7200.5"], Reused),
        ])
        .await;
}

#[tokio::test]
async fn lifetimes_are_read_with_care() {
    Stage::set()
        .await
        .check(vec![
            case("1.2.2 a lifetime beyond 2^31", &["Cache-Control: max-age=2147483649"], Reused),
            case("1.2.2 a lifetime beyond 2^64", &["Cache-Control: max-age=99999999999999999999999"], Reused),
            case("4.2.1 leading zeros", &["Cache-Control: max-age=003600"], Reused),
            case("4.2.1 a negative lifetime is stale", &["Cache-Control: max-age=-3600"], Asked),
            case("4.2.1 a fraction is stale", &["Cache-Control: max-age=3600.5"], Asked),
            case("4.2.1 a lifetime that is no number is stale", &["Cache-Control: max-age=long"], Asked),
            case("4.2.1 a lifetime that is missing is stale", &["Cache-Control: max-age="], Asked),
            case(
                "4.2.1 two lifetimes that differ are stale",
                &["Cache-Control: max-age=3600, max-age=7200"],
                Asked,
            ),
            case(
                "4.2.1 on two lines too",
                &["Cache-Control: max-age=3600", "Cache-Control: max-age=7200"],
                Asked,
            ),
            case("4.2.1 two that agree are one", &["Cache-Control: max-age=3600, max-age=3600"], Reused),
            case("5.2 a quoted argument", &["Cache-Control: max-age=\"3600\""], Reused),
            case("5.2 single quotes are no quotes", &["Cache-Control: max-age='3600'"], Asked),
            case("5.2 no space before the equals sign", &["Cache-Control: max-age =3600"], Asked),
            case("5.2 no space after it", &["Cache-Control: max-age= 3600"], Asked),
        ])
        .await;
}
