//! The client credentials grant (RFC 6749 section 4.4): the request, and what the answer means.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::Credential;
use crate::gateway::transport::{self, Network, RequestBody, ResponseBody, SetupFailure, Transport};
use crate::models::policy::{OAuth2, Upstream};

/// DNS, TCP and TLS of the token server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer that is read.
const MOST_ANSWER: usize = 64 * 1024;
/// The life of a token that does not say.
const UNSAID_LIFE: Duration = Duration::from_secs(300);
/// The longest life that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A token as it was issued.
pub(super) struct Granted {
    /// What goes into requests.
    pub(super) credential: Credential,
    /// How long it counts, from when it was asked for.
    pub(super) life: Duration,
}

/// Why there is no token. Holds nothing of what was sent, nor free text of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// For the caller.
    pub(super) detail: String,
    /// For the log alone.
    pub(super) cause: Option<String>,
}

impl Refusal {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), cause: None }
    }
}

/// Asks one token server for tokens for one client.
pub(super) struct Grant {
    transport: Arc<Transport>,
    target: Uri,
    client: Credential,
    body: Bytes,
}

impl Grant {
    /// `None` where the secret cannot be sent.
    pub(super) fn new(
        upstream: &Upstream,
        settings: &OAuth2,
        secret: &str,
        network: &Network,
    ) -> Result<Option<Self>, SetupFailure> {
        let url = settings.token_url.clone();
        let path = if url.path.is_empty() { "/" } else { &url.path };
        let bad_path = |_| SetupFailure::Host(url.host.clone());
        let target = path.parse().map_err(bad_path)?;
        let transport = Transport::new(
            network,
            transport::Settings { url: url.clone(), tls: upstream.tls.clone(), narrowed: None },
        )?;
        // RFC 6749 section 2.3.1: both are form-encoded first.
        let (id, secret) = (form_encoded(&settings.client_id), Zeroizing::new(form_encoded(secret)));
        let mut body = "grant_type=client_credentials".to_owned();
        if !settings.scopes.is_empty() {
            body.push_str("&scope=");
            body.push_str(&form_encoded(&settings.scopes.join(" ")));
        }
        Ok(Credential::basic(&id, &secret).map(|client| Self {
            transport,
            target,
            client,
            body: Bytes::from(body),
        }))
    }

    /// Asks for a token. Never follows a redirect.
    pub(super) async fn ask(&self) -> Result<Granted, Refusal> {
        let response = self.transport.send(self.request(), CONNECT_TIMEOUT).await.map_err(|failure| {
            Refusal { detail: "the token server cannot be reached".to_owned(), cause: Some(failure.detail) }
        })?;
        let status = response.status();
        let body = read(response.into_body()).await?;
        if status != StatusCode::OK {
            return Err(said_no(status, &body));
        }
        understood(&body)
    }

    /// Closes connections that idled too long.
    pub(super) fn sweep(&self, now: Instant) {
        self.transport.sweep(now);
    }

    fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::from(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        let headers: &mut HeaderMap = request.headers_mut();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("levee/", env!("CARGO_PKG_VERSION"))),
        );
        self.client.inject(headers);
        request
    }
}

async fn read(mut body: ResponseBody) -> Result<BytesMut, Refusal> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::new("the token server's answer broke off"))?;
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(&data);
        }
        if read.len() > MOST_ANSWER {
            return Err(Refusal::new("the token server's answer is larger than 64 KiB"));
        }
    }
    Ok(read)
}

/// What an answer of 200 holds (RFC 6749 section 5.1).
#[derive(Deserialize)]
struct Body {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<Value>,
}

fn understood(body: &[u8]) -> Result<Granted, Refusal> {
    let body: Body = serde_json::from_slice(body)
        .map_err(|_| Refusal::new("the token server's answer is no JSON with an `access_token`"))?;
    if body.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(Refusal::new("the token server issued a token of another type than Bearer"));
    }
    let credential = Some(&body.access_token)
        .filter(|token| !token.is_empty())
        .and_then(|token| Credential::bearer(token))
        .ok_or_else(|| Refusal::new("the token server issued a token that no header can hold"))?;
    Ok(Granted { credential, life: life(body.expires_in.as_ref()) })
}

/// Seconds as a number, or as the text that some servers send. What is absent or odd is taken for a short life.
fn life(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    seconds.map_or(UNSAID_LIFE, |seconds| {
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(LONGEST_LIFE)
            .clamp(Duration::from_secs(1), LONGEST_LIFE)
    })
}

/// Codes of RFC 6749 section 5.2: the only words of the server's that are passed on.
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

fn said_no(status: StatusCode, body: &[u8]) -> Refusal {
    let said: Option<Value> = serde_json::from_slice(body).ok();
    let said = said.as_ref().and_then(|body| body.get("error")?.as_str());
    let code = CODES.iter().find(|code| said == Some(**code));
    let code = code.map(|code| format!(", {code}")).unwrap_or_default();
    Refusal::new(format!("the token server refused ({}{code})", status.as_u16()))
}

/// `application/x-www-form-urlencoded`, spaces as `+`.
fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => write!(out, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_that_is_absent_or_odd_is_short_and_a_huge_one_is_not_believed() {
        let life = |text: &str| life(serde_json::from_str::<Value>(text).ok().as_ref()).as_secs();
        for (said, expected) in [
            ("3600", 3600),
            ("\"3600\"", 3600),
            ("59.5", 59),
            ("0", 1),
            ("1e300", 86_400),
            ("999999999999", 86_400),
            ("-5", 300),
            ("\"soon\"", 300),
            ("\"NaN\"", 300),
            ("null", 300),
            ("{}", 300),
        ] {
            assert_eq!(life(said), expected, "{said}");
        }
        assert_eq!(super::life(None), UNSAID_LIFE);
    }

    #[test]
    fn only_bearer_tokens_that_a_header_can_hold_are_taken() {
        assert!(understood(br#"{"access_token":"a.b-c","token_type":"bearer"}"#).is_ok());
        assert!(understood(br#"{"access_token":"a"}"#).is_ok());
        for bad in [
            &br#"{"access_token":"","token_type":"Bearer"}"#[..],
            br#"{"access_token":"a\nb","token_type":"Bearer"}"#,
            br#"{"access_token":"a","token_type":"mac"}"#,
            br#"{"token_type":"Bearer"}"#,
            br#"{"access_token":7}"#,
            b"access_token=a",
            b"",
        ] {
            assert!(understood(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn nothing_of_a_servers_own_words_is_passed_on() {
        let refused = |body: &str| said_no(StatusCode::UNAUTHORIZED, body.as_bytes()).detail;
        assert_eq!(
            refused(r#"{"error":"invalid_client","error_description":"s3cret"}"#),
            "the token server refused (401, invalid_client)"
        );
        assert_eq!(refused(r#"{"error":"s3cret"}"#), "the token server refused (401)");
        assert_eq!(refused("s3cret"), "the token server refused (401)");
    }

    #[test]
    fn client_and_secret_are_form_encoded() {
        assert_eq!(form_encoded("a b:c%d/é~"), "a+b%3Ac%25d%2F%C3%A9%7E");
    }
}
