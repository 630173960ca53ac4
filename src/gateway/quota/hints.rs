//! What an upstream's answer says about its own limit.
//!
//! `Retry-After` (RFC 9110 section 10.2.3) of a 429 or 503 counts most; then `RateLimit` with `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers-10) and the older `RateLimit-…` and `X-RateLimit-Remaining` and `-Reset`
//! that many APIs send, where they say that nothing is left.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::gateway::retry;

/// How long an answer asks for a pause when it refused and said no more: long enough to matter, short enough to err.
const UNSAID: Duration = Duration::from_secs(1);

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Pairs of what is left and when it is full again.
const PLAIN: [(&str, &str); 2] =
    [("ratelimit-remaining", "ratelimit-reset"), ("x-ratelimit-remaining", "x-ratelimit-reset")];

/// Numbers above this are no seconds from now but seconds since 1970.
const EPOCH_SECONDS: f64 = 1e9;
/// And above this milliseconds since then.
const EPOCH_MILLISECONDS: f64 = 1e12;

/// The pause an answer asks for, if it asks for one.
pub(super) fn pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let refused = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let asked = refused
        .then(|| retry::retry_after(headers))
        .flatten()
        .or_else(|| used_up(headers))
        .or_else(|| plainly_used_up(headers))
        .or((status == StatusCode::TOO_MANY_REQUESTS).then_some(UNSAID));
    asked.filter(|pause| !pause.is_zero())
}

/// The longest wait among the limits of `RateLimit` that have nothing left.
fn used_up(headers: &HeaderMap) -> Option<Duration> {
    let limits = members(headers, &RATE_LIMIT);
    let wait = |limit: &Member| {
        // Without a time of its own: its whole window, which is never too short.
        limit.number('t').or_else(|| {
            let policies = members(headers, &RATE_LIMIT_POLICY);
            policies.iter().find(|policy| policy.name == limit.name)?.number('w')
        })
    };
    let empty = limits.iter().filter(|limit| limit.number('r') == Some(0));
    empty.filter_map(wait).max().map(Duration::from_secs)
}

fn plainly_used_up(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let empty = PLAIN.iter().filter(|(remaining, _)| number(remaining).is_some_and(|left| left <= 0.0));
    let resets = empty.filter_map(|(_, reset)| number(reset));
    resets.filter_map(|reset| until(reset, headers)).max()
}

/// Seconds from now, or a point in time by the upstream's own clock where it tells it.
fn until(reset: f64, headers: &HeaderMap) -> Option<Duration> {
    let since_epoch = match reset {
        reset if reset >= EPOCH_MILLISECONDS => reset / 1000.0,
        reset if reset >= EPOCH_SECONDS => reset,
        reset => return Duration::try_from_secs_f64(reset).ok(),
    };
    let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(SystemTime::now);
    let reset = SystemTime::UNIX_EPOCH + Duration::try_from_secs_f64(since_epoch).ok()?;
    Some(reset.duration_since(now).unwrap_or_default())
}

/// A member of a list of structured fields (RFC 9651): its name and parameters.
struct Member {
    name: String,
    parameters: Vec<(String, String)>,
}

impl Member {
    fn number(&self, name: char) -> Option<u64> {
        let (_, value) = self.parameters.iter().find(|(key, _)| key.chars().eq([name]))?;
        value.parse().ok()
    }
}

fn members(headers: &HeaderMap, name: &HeaderName) -> Vec<Member> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| split(line, ',')).map(member).collect()
}

fn member(text: &str) -> Member {
    let mut pieces = split(text, ';');
    let name = pieces.next().unwrap_or_default().trim_matches('"').to_owned();
    let parameters = pieces.filter_map(|piece| {
        let (key, value) = piece.split_once('=')?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    });
    Member { name, parameters: parameters.collect() }
}

/// Splits where `separator` stands outside a quoted string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let pieces = text.split(move |character| {
        let inside = quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        character == separator && !inside
    });
    pieces.map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(status: u16, lines: &[(&'static str, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        pause(StatusCode::from_u16(status).unwrap(), &headers).map(|pause| pause.as_secs())
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        for status in [429, 503] {
            assert_eq!(asked(status, &[("retry-after", "7")]), Some(7));
            let date =
                [("retry-after", "Fri, 01 Jan 2100 00:01:00 GMT"), ("date", "Fri, 01 Jan 2100 00:00:00 GMT")];
            assert_eq!(asked(status, &date), Some(60), "by the upstream's own clock");
            assert_eq!(asked(status, &[("retry-after", "0")]), None);
        }
        assert_eq!(asked(200, &[("retry-after", "7")]), None, "that is no refusal");
        assert_eq!(asked(429, &[]), Some(1));
        assert_eq!(asked(503, &[]), None);
    }

    #[test]
    fn a_limit_with_nothing_left_is_a_pause_also_on_a_good_answer() {
        assert_eq!(asked(200, &[("ratelimit", "\"default\";r=0;t=30")]), Some(30));
        assert_eq!(asked(200, &[("ratelimit", "\"default\";r=1;t=30")]), None);
        assert_eq!(asked(200, &[("ratelimit", "default;r=0;t=30")]), Some(30), "as older drafts had it");
        let several = [
            ("ratelimit", "\"a,b;r=0\";r=5;t=90, \"hour\";r=0;t=40"),
            ("ratelimit", "\"day\";r=0;pk=:sdfjLJUOUH==:;t=50"),
        ];
        assert_eq!(asked(200, &several), Some(50));
        let windows = [
            ("ratelimit", "\"burst\";r=0"),
            ("ratelimit-policy", "\"daily\";q=1000;w=86400, \"burst\";q=100;w=60"),
        ];
        assert_eq!(asked(200, &windows), Some(60), "the window of the same name");
        assert_eq!(asked(429, &[("ratelimit", "\"x\";r=0;t=30"), ("retry-after", "5")]), Some(5));
    }

    #[test]
    fn the_older_fields_count_too() {
        let of = |left: &str, reset: &str| {
            asked(200, &[("x-ratelimit-remaining", left), ("x-ratelimit-reset", reset)])
        };
        assert_eq!(of("0", "12"), Some(12));
        assert_eq!(of("3", "12"), None);
        assert_eq!(of("0", "soon"), None);
        let at = |reset: &str| {
            let lines = [
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", reset),
                ("date", "Fri, 01 Jan 2100 00:00:00 GMT"),
            ];
            asked(200, &lines)
        };
        assert_eq!(at("4102444830"), Some(30));
        assert_eq!(at("4102444830000"), Some(30));
        assert_eq!(at("1700000000"), None, "long ago");
        assert_eq!(asked(200, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")]), Some(9));
    }

    #[test]
    fn nonsense_asks_for_nothing() {
        for value in
            ["", ";;;", "\"", "\"a\\", "r=0;t=5", "\"a\";r=0;t=-5", "\"a\";r=0;t=99999999999999999999"]
        {
            assert_eq!(asked(200, &[("ratelimit", value)]), None, "{value}");
        }
        for value in ["-1", "NaN", "inf", "1e300"] {
            assert_eq!(
                asked(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", value)]),
                None,
                "{value}"
            );
        }
    }
}
