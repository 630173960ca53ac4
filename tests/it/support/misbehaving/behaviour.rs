//! What the misbehaving server can do with a request.

use std::time::Duration;

use bytes::Bytes;

use super::Gate;

/// What one request meets.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// A proper answer.
    Answer(Reply),
    /// A proper answer whose body is the request, byte for byte as it arrived.
    Echo,
    /// Exactly these bytes, after which the connection stays open.
    Raw(Bytes),
    /// These bytes, then a proper close of the connection.
    RawThenClose(Bytes),
    /// These bytes (none: nothing of an answer), then a reset.
    RawThenReset(Bytes),
    /// Never an answer; the connection stays open until the client leaves.
    Hang,
    /// The reply's headers at once, its body one byte per interval.
    Drip(Duration, Reply),
    /// The reply's headers and half of its body at once, the other half once the gate lets it through.
    Halves(Gate, Reply),
    /// Something else, later.
    After(Duration, Box<Behaviour>),
    /// Something else, once the gate lets it through.
    Held(Gate, Box<Behaviour>),
}

/// A proper answer; its `Content-Length` is added.
#[derive(Clone)]
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: u16,
    /// Further headers, sent as they are.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body.
    pub(crate) body: Bytes,
}

impl Reply {
    /// `200` with a body.
    pub(crate) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }

    /// Any status; the body says which.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: format!("status {status}\n").into() }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl From<Reply> for Behaviour {
    fn from(reply: Reply) -> Self {
        Self::Answer(reply)
    }
}

impl Behaviour {
    /// Paths that need no script; any other answers 404.
    ///
    /// | path | does |
    /// | --- | --- |
    /// | `/ok` | 200 |
    /// | `/status/{n}` | that status |
    /// | `/echo` | the request's own bytes |
    /// | `/hang` | never answers |
    /// | `/delay/{ms}` | 200, later |
    /// | `/drip/{ms}` | 200, ten bytes, one per interval |
    /// | `/reset` | resets before any byte of an answer |
    /// | `/reset-in-body` | resets after 5 of 10 bytes |
    /// | `/close` | closes before any byte of an answer |
    /// | `/short` | closes after 5 of 10 bytes |
    /// | `/long` | sends more than it announced |
    /// | `/bad-header` | a header with a NUL in its name |
    /// | `/garbage` | no HTTP at all |
    /// | `/fail/{n}` | 503 for the first n requests, then 200 |
    pub(super) fn of_path(path: &str, seen_before: usize) -> Self {
        let (name, argument) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        let number = argument.parse::<u16>().ok();
        let half_a_body = Bytes::from("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
        let ok = Reply::ok("ok\n");
        match (name, number) {
            ("status", Some(status)) => Reply::status(status).into(),
            ("echo", _) => Self::Echo,
            ("hang", _) => Self::Hang,
            ("delay", Some(wait)) => Self::After(Duration::from_millis(wait.into()), Box::new(ok.into())),
            ("drip", Some(wait)) => Self::Drip(Duration::from_millis(wait.into()), Reply::ok("0123456789")),
            ("reset", _) => Self::RawThenReset(Bytes::new()),
            ("reset-in-body", _) => Self::RawThenReset(half_a_body),
            ("close", _) => Self::RawThenClose(Bytes::new()),
            ("short", _) => Self::RawThenClose(half_a_body),
            ("long", _) => Self::Raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n0123456789".into()),
            ("bad-header", _) => Self::Raw("HTTP/1.1 200 OK\r\nba\0d: x\r\nContent-Length: 0\r\n\r\n".into()),
            ("garbage", _) => Self::Raw("SSH-2.0-OpenSSH_9.2\r\n".into()),
            ("fail", Some(failures)) if seen_before < failures.into() => Reply::status(503).into(),
            ("ok", _) | ("fail", Some(_)) => ok.into(),
            _ => Reply::status(404).into(),
        }
    }
}
