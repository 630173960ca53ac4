//! What RFC 9111 asks of a shared cache, requirement by requirement, over the real binary: an upstream answers, somebody
//! asks again, and either memory or the upstream must answer.
//!
//! Age is made by `Age` and `Date`, not by waiting. The oracle (`src/cache/tests/oracle.rs`) compares the same rules with
//! `http-cache-semantics` on random answers; this is the list a reader of the RFC would make.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;

use crate::support::client::{self, Answer};
use crate::support::levee::TestApp;
use crate::support::misbehaving::{Behaviour, Misbehaving, Reply};

/// Directives of responses, in every spelling (sections 5.2.2 and 5.4, RFC 9213).
mod directives;
/// How long an answer is fresh (sections 4.2, 5.1 and 5.3).
mod freshness;
/// Methods and statuses: what may be stored, what an unsafe method makes worthless (sections 3, 4 and 4.4).
mod methods;
/// What a request may ask of the cache (section 5.2.1).
mod requests;
/// Validators, and headers of what is stored (sections 3.1, 3.2, 4.3).
mod validation;
/// Which answer is for which request (section 4.1).
mod vary;

/// What must become of the second request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Memory answers it.
    Reused,
    /// The upstream is asked without conditions, and its answer is the second one.
    Asked,
    /// The upstream is asked whether the first answer still holds, says 304, and the first answer is given.
    Confirmed,
}

/// Two requests for one resource.
struct Case {
    rule: &'static str,
    first: Behaviour,
    second: Behaviour,
    asks_first: Vec<(HeaderName, HeaderValue)>,
    asks_second: Vec<(HeaderName, HeaderValue)>,
    fate: Fate,
}

/// A case of which only the first answer's headers matter; `lines` are such as `Cache-Control: max-age=60`.
fn case(rule: &'static str, lines: &[&str], fate: Fate) -> Case {
    case_of(rule, reply(200, lines), fate)
}

fn case_of(rule: &'static str, first: impl Into<Behaviour>, fate: Fate) -> Case {
    let second = match fate {
        Fate::Confirmed => Reply { body: bytes::Bytes::new(), ..reply(304, &[]) },
        Fate::Reused | Fate::Asked => Reply { body: "second".into(), ..reply(200, &[]) },
    };
    let (asks_first, asks_second) = (Vec::new(), Vec::new());
    Case { rule, first: first.into(), second: second.into(), asks_first, asks_second, fate }
}

impl Case {
    /// Headers of the first request.
    fn asked_with(mut self, lines: &[&str]) -> Self {
        self.asks_first = lines.iter().map(|line| header(line)).collect();
        self
    }

    /// Headers of the second request.
    fn then_with(mut self, lines: &[&str]) -> Self {
        self.asks_second = lines.iter().map(|line| header(line)).collect();
        self
    }

    /// Headers of both requests.
    fn both_with(self, lines: &[&str]) -> Self {
        self.asked_with(lines).then_with(lines)
    }

    /// What the upstream says the second time.
    fn then(mut self, second: impl Into<Behaviour>) -> Self {
        self.second = second.into();
        self
    }
}

/// An answer whose body is "first".
fn reply(status: u16, lines: &[&str]) -> Reply {
    let headers =
        lines.iter().map(|line| split(line)).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Reply { status, headers: headers.collect(), body: "first".into() }
}

fn split(line: &str) -> (&str, &str) {
    line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header line"))
}

fn header(line: &str) -> (HeaderName, HeaderValue) {
    let (name, value) = split(line);
    (name.parse().unwrap(), value.parse().unwrap())
}

/// An HTTP date so many seconds from now.
fn date(seconds: i64) -> String {
    let (now, far) = (SystemTime::now(), Duration::from_secs(seconds.unsigned_abs()));
    httpdate::fmt_http_date(if seconds < 0 { now - far } else { now + far })
}

fn line(name: &str, value: &str) -> String {
    format!("{name}: {value}")
}

/// An upstream, and Levee in front of it with no policy but the defaults: one attempt, and nobody's breaker opens.
struct Stage {
    server: Misbehaving,
    app: TestApp,
}

impl Stage {
    async fn set() -> Self {
        let server = Misbehaving::start().await;
        let document = format!(
            "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: api }}\nspec:\n  url: {}\n  \
             retry: {{ attempts: 1 }}\n  breaker: {{ mode: metrics_only }}\n",
            server.url()
        );
        let app = TestApp::start(document).await;
        Self { server, app }
    }

    async fn ask(&self, method: Method, path: &str, lines: &[(HeaderName, HeaderValue)]) -> Answer {
        let mut request: Request<Full<_>> = client::request(&format!("/proxy/api{path}"));
        *request.method_mut() = method;
        request.headers_mut().extend(lines.iter().cloned());
        client::send(self.app.data, request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    /// Puts every case on a path of its own; says what each went wrong by.
    async fn check(&self, cases: Vec<Case>) {
        let mut wrong = Vec::new();
        let count = cases.len();
        for (number, case) in cases.into_iter().enumerate() {
            let path = format!("/{number}");
            let (rule, wanted) = (case.rule, case.fate);
            let found = self.play(&path, case).await;
            if found != Ok(wanted) {
                wrong.push(format!("{rule}: {wanted:?} was right, but {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {count} are not kept:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn play(&self, path: &str, case: Case) -> Result<Fate, String> {
        self.server.script(path, [case.first, case.second]);
        let first = self.ask(Method::GET, path, &case.asks_first).await;
        if first.header("levee-answer") != "upstream" {
            return Err(format!("the first was answered by {:?}", first.header("levee-answer")));
        }
        let second = self.ask(Method::GET, path, &case.asks_second).await;
        let conditional = self.server.received().last().is_some_and(|request| {
            let head = String::from_utf8_lossy(&request.head).to_lowercase();
            head.contains("if-none-match:") || head.contains("if-modified-since:")
        });
        // A stale answer that is reused may be asked for behind the caller's back.
        let (seen, reused) =
            (self.server.seen(path), second.header("cache-status").starts_with("levee; hit;"));
        match (seen, second.text(), conditional) {
            (1 | 2, text, _) if reused && text != "second" => Ok(Fate::Reused),
            (2, "second", _) => Ok(Fate::Asked),
            (2, "first", true) => Ok(Fate::Confirmed),
            _ => Err(format!("{seen} requests, answered with {} {:?}", second.status, second.text())),
        }
    }
}
