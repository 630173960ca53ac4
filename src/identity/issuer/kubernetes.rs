//! Service accounts of Kubernetes, by the subject of their tokens: `system:serviceaccount:namespace:name`.

use aws_lc_rs::digest;
use uuid::{Builder, Uuid};

use crate::models::principal::{Class, Principal, PrincipalKind};

const SUBJECT: &str = "system:serviceaccount:";

/// Most characters of a namespace, a DNS label (RFC 1123).
const LONGEST_NAMESPACE: usize = 63;
/// Most characters of an account's name, a DNS subdomain.
const LONGEST_NAME: usize = 253;

/// The principal of this subject, `namespace/name`; `None` where it is no service account's. It has no role: it may call, and
/// manage nothing.
pub(super) fn principal(subject: &str) -> Option<Principal> {
    let (namespace, name) = subject.strip_prefix(SUBJECT)?.split_once(':')?;
    let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_namespace = (1..=LONGEST_NAMESPACE).contains(&namespace.len()) && namespace.bytes().all(label);
    let is_name =
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|byte| label(byte) || byte == b'.');
    (is_namespace && is_name).then(|| Principal {
        kind: PrincipalKind::KubernetesServiceAccount,
        id: id(subject),
        name: format!("{namespace}/{name}"),
        role: None,
        class: Class::default(),
    })
}

/// Of the name alone, so that every replica has the same one without having met the account.
fn id(subject: &str) -> Uuid {
    let digest = digest::digest(&digest::SHA256, subject.as_bytes());
    let bytes = digest.as_ref().first_chunk().expect("SHA-256 has more than 16 bytes");
    Builder::from_custom_bytes(*bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_a_service_account_and_always_the_same() {
        let checkout = principal("system:serviceaccount:payments:checkout").unwrap();
        assert_eq!((checkout.subject().as_str(), checkout.role), ("k8s:payments/checkout", None));
        assert_eq!(checkout, principal("system:serviceaccount:payments:checkout").unwrap());
        assert_ne!(checkout.id, principal("system:serviceaccount:payments:checkout2").unwrap().id);
        assert_eq!(principal("system:serviceaccount:a:b.c").unwrap().name, "a/b.c");
    }

    #[test]
    fn anybody_else_is_nobody() {
        let long = format!("system:serviceaccount:{}:a", "n".repeat(64));
        for subject in [
            "",
            "checkout",
            "system:node:a",
            "system:serviceaccount:payments",
            "system:serviceaccount::checkout",
            "system:serviceaccount:payments:",
            "system:serviceaccount:a/b:c",
            "system:serviceaccount:a:b/c",
            "system:serviceaccount:a:b:c",
            "system:serviceaccount:A:b",
            "system:serviceaccount:a:*",
            &long,
        ] {
            assert_eq!(principal(subject), None, "{subject}");
        }
    }
}
