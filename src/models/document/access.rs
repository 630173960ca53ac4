//! `access`: who may call, and where a caller may prove who it is.

use http::HeaderName;

use super::Unsaid;
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{Access, Allow, Pattern};
use crate::models::principal::PrincipalKind;

const FIELDS: Fields = Fields::all(&["allow", "keyHeader"]);
const MOST_RULES: usize = 200;

/// Headers that a caller's proof must not be looked for in: they are looked at anyway, or say something else.
const NO_KEY_HEADERS: &[&str] =
    &["authorization", "baggage", "cookie", "forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// Reads the block.
pub(super) fn read(spec: &Object, unsaid: Unsaid) -> Access {
    let block = spec.block("access", FIELDS);
    let given = block.read("allow", |place| place.list_of(MOST_RULES, rule));
    Access {
        allow: given.unwrap_or_else(|| match unsaid {
            Unsaid::Nobody => Vec::new(),
            Unsaid::Anybody => vec![Allow::Anybody],
        }),
        key_header: block.read("keyHeader", key_header),
    }
}

fn rule(place: &Place) -> Option<Allow> {
    let text = place.line(256)?;
    let (kind, name) = match text.split_once(':') {
        None if text == "any_authenticated" => return Some(Allow::AnyAuthenticated),
        Some(("sa", name)) => (PrincipalKind::ServiceAccount, name),
        Some(("user", name)) => (PrincipalKind::User, name),
        Some(("k8s", name)) => (PrincipalKind::KubernetesServiceAccount, name),
        _ => {
            place.refuse(
                "is no rule; use `sa:name`, `k8s:namespace/account`, `user:address` (`*` is any text) or `any_authenticated`",
            );
            return None;
        }
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        place.refuse(format!("needs a name without spaces after `{}:`; `*` is any text", kind.prefix()));
        return None;
    }
    let program = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte);
    if kind == PrincipalKind::ServiceAccount && !name.bytes().all(program) {
        place.refuse("can match no service account: their names have only a-z, 0-9 and `-`");
        return None;
    }
    if kind == PrincipalKind::KubernetesServiceAccount && !names_account(name) {
        place.refuse(
            "can match no service account of Kubernetes: write `k8s:namespace/account` with a-z, 0-9, `-`, `.` and `*`",
        );
        return None;
    }
    Some(Allow::Named(kind, Pattern::new(name)))
}

fn names_account(pattern: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.*".contains(&byte);
    let parts = pattern.split_once('/');
    parts.is_some_and(|(namespace, name)| {
        !namespace.is_empty() && !name.is_empty() && [namespace, name].iter().all(|it| it.bytes().all(part))
    })
}

fn key_header(place: &Place) -> Option<HeaderName> {
    let name = place.as_policy_header(place.text(256)?)?;
    if NO_KEY_HEADERS.contains(&name.as_str()) {
        place.refuse(format!("`{name}` cannot be it; name a header such as `x-api-key`"));
        return None;
    }
    Some(name)
}
