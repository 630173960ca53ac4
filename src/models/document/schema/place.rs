//! The whole: where an upstream is, who may call it, and the policy of its calls.

use serde_json::json;

use super::words::{HEADER_NAME, URL, block, field, line, list, methods, object};
use super::{Field, Kind, Object, Text, answers, attempts};

/// `spec`.
pub(super) fn spec() -> Object {
    let mut fields = vec![
        field("url", Kind::Text(URL), "Where it is: `http` or `https`, a host, perhaps a port and a path.")
            .required(),
        field("owner", line(128), "The team that answers for it, shown to operators."),
    ];
    fields.extend(policy());
    fields.extend([
        block("network", network()),
        block("tls", tls()),
        block("access", access()),
        block("credentials", credentials()),
        field(
            "operations",
            list(Kind::Object(operation()), 200),
            "Parts with a policy of their own; the first that matches counts.",
        )
        .or(json!([])),
    ]);
    let about = "The `spec` of an upstream's document: where the API is and how it is called. `url` must be given; every other \
                 field has a default. A field that does not exist is refused.";
    object(super::SPEC, about, fields)
}

/// What an upstream and each of its operations can say.
fn policy() -> Vec<Field> {
    let mut fields = vec![
        block("timeout", attempts::timeout()),
        block("retry", attempts::retry()),
        block("breaker", attempts::breaker()),
        block("concurrency", attempts::concurrency()),
        block("quota", attempts::quota()),
        block("cache", answers::cache()),
    ];
    fields.extend(answers::fallback());
    fields.extend([block("headers", answers::header_rules()), block("limits", answers::limits())]);
    fields
}

fn operation() -> Object {
    let mut fields = vec![
        field("name", line(63), "What it is called, in metrics too; no other operation has the same name.")
            .required(),
        block("match", matching()).required(),
    ];
    fields.extend(policy());
    let about = "A part of an upstream. A block that is given replaces the upstream's as a whole.";
    object("UpstreamOperation", about, fields)
}

fn matching() -> Object {
    const PATH: Text = Text { pattern: r"^/[A-Za-z0-9._~!$&'()*+,;=:@%{}/-]*$", most: 1024 };
    object(
        "OperationMatch",
        "Which calls it is about.",
        vec![
            field("methods", methods(0), "The methods; any where there are none.").or(json!([])),
            field(
                "path",
                Kind::Text(PATH),
                "The path below the upstream's `url`. `{name}` stands for one segment, `**` as the last one for any rest.",
            )
            .required(),
        ],
    )
}

fn network() -> Object {
    const RANGE: Text = Text { pattern: r"^[0-9A-Fa-f.:]+/[0-9]{1,3}$", most: 64 };
    let about = "Private ranges this upstream may be in, such as `10.0.0.0/8`; narrows what the deployment allows. Left out, it \
                 is all of that.";
    let ranges = field("allowCidrs", list(Kind::Text(RANGE), 64), about);
    object("NetworkPolicy", "Where the upstream may be.", vec![ranges])
}

fn tls() -> Object {
    const PEM: Text = Text { pattern: "", most: 256 << 10 };
    let about = "PEM certificates to trust instead of the system's roots.";
    object(
        "TlsPolicy",
        "Whom to trust there; not with an `http` URL.",
        vec![field("ca", Kind::Text(PEM), about)],
    )
}

fn access() -> Object {
    const RULE: Text = Text {
        pattern: r"^(any_authenticated|sa:[a-z0-9*-]+|k8s:[a-z0-9.*-]+/[a-z0-9.*-]+|user:\S+)$",
        most: 256,
    };
    object(
        "AccessPolicy",
        "Who may call. Left out, nobody may (anybody in `levee dev`).",
        vec![
            field(
                "allow",
                list(Kind::Text(RULE), 200),
                "One match is enough: `sa:name` (a service account), `k8s:namespace/account` (one of Kubernetes), `user:address` (a person), `any_authenticated`. `*` is \
                 any text.",
            ),
            field(
                "keyHeader",
                Kind::Text(HEADER_NAME),
                "One more header that may hold the caller's API key or token, for clients that insist on `x-api-key`.",
            ),
        ],
    )
}

fn credentials() -> Object {
    let fields = vec![block("header", header()), block("basic", basic()), block("oauth2", oauth2())];
    let about = "How a stored secret is added to each request. The secret itself is set with \
                 `PUT /api/v1/upstreams/{name}/credentials`, and counts for the origin it was set for.";
    object("CredentialsPolicy", about, fields).exactly_one()
}

fn header() -> Object {
    const TEMPLATE: Text =
        Text { pattern: r"^[^\x00-\x1f\x7f-\x9f]*\{secret\}[^\x00-\x1f\x7f-\x9f]*$", most: 1024 };
    object(
        "HeaderCredentials",
        "A header that holds the secret.",
        vec![
            field("name", Kind::Text(HEADER_NAME), "The header.").required(),
            field("value", Kind::Text(TEMPLATE), "Its value, with `{secret}` in it once: `Bearer {secret}`.")
                .required(),
        ],
    )
}

fn basic() -> Object {
    const NAME: Text = Text { pattern: r"^[^:\x00-\x1f\x7f-\x9f]+$", most: 255 };
    let name = field("username", Kind::Text(NAME), "The user; the secret is the password.").required();
    object("BasicCredentials", "`Authorization: Basic` (RFC 7617).", vec![name])
}

fn oauth2() -> Object {
    const SCOPE: Text = Text { pattern: r"^[!#-\[\]-~]+$", most: 255 };
    object(
        "OAuth2Credentials",
        "A token that the secret, a client's, is exchanged for (RFC 6749, client credentials).",
        vec![
            field("tokenUrl", Kind::Text(URL), "Where tokens are issued.").required(),
            field("clientId", line(255), "The client.").required(),
            field("scopes", list(Kind::Text(SCOPE), 64), "What is asked for.").or(json!([])),
        ],
    )
}
