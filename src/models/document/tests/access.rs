//! Who may call, as documents say it.

use super::*;
use crate::models::policy::{Access, Allow, Pattern};
use crate::models::principal::PrincipalKind;

#[test]
fn rules_name_programs_people_or_everybody_who_proves_who_they_are() {
    let access = good(
        "access: { allow: ['sa:billing-*', 'k8s:payments/*', 'user:*@example.com', any_authenticated], keyHeader: X-API-Key }",
    )
    .access;
    assert_eq!(
        access,
        Access {
            allow: vec![
                Allow::Named(PrincipalKind::ServiceAccount, Pattern::new("billing-*")),
                Allow::Named(PrincipalKind::KubernetesServiceAccount, Pattern::new("payments/*")),
                Allow::Named(PrincipalKind::User, Pattern::new("*@example.com")),
                Allow::AnyAuthenticated,
            ],
            key_header: Some(http::HeaderName::from_static("x-api-key")),
        }
    );
}

#[test]
fn a_document_that_says_nothing_lets_nobody_in_except_for_development() {
    let says_nothing = "url: https://api.example.com\naccess: { keyHeader: x-key }";
    let allow = |text: &str, unsaid_access| {
        let (upstreams, faults) = read(&document(text), &Rules { unsaid_access, ..Rules::default() });
        assert_eq!(faults, []);
        upstreams[0].access.allow.clone()
    };
    assert_eq!(allow(says_nothing, Unsaid::Nobody), []);
    assert_eq!(allow(says_nothing, Unsaid::Anybody), [Allow::Anybody]);
    let says_nobody = "url: https://api.example.com\naccess: { allow: [] }";
    assert_eq!(allow(says_nobody, Unsaid::Anybody), []);
}

#[test]
fn rules_that_could_match_nobody_are_refused() {
    let no_rule = "is no rule; use `sa:name`, `k8s:namespace/account`, `user:address` (`*` is any text) or `any_authenticated`";
    let no_kubernetes = "can match no service account of Kubernetes: write `k8s:namespace/account` with a-z, 0-9, `-`, `.` and `*`";
    let no_account = "can match no service account: their names have only a-z, 0-9 and `-`";
    for (rule, reason) in [
        ("'*'", no_rule),
        ("billing", no_rule),
        ("role:admin", no_rule),
        ("ANY_AUTHENTICATED", no_rule),
        ("'sa:'", "needs a name without spaces after `sa:`; `*` is any text"),
        ("'user:a b'", "needs a name without spaces after `user:`; `*` is any text"),
        ("sa:Billing", no_account),
        ("sa:billing.eu", no_account),
        ("k8s:payments", no_kubernetes),
        ("k8s:payments/", no_kubernetes),
        ("k8s:/checkout", no_kubernetes),
        ("k8s:a/b/c", no_kubernetes),
        ("k8s:Payments/checkout", no_kubernetes),
        ("'k8s:'", "needs a name without spaces after `k8s:`; `*` is any text"),
        ("''", "must be a text on one line, not empty"),
    ] {
        let expected = format!("2: access.allow[1]: {reason}");
        assert_eq!(said(&format!("access:\n  allow: [any_authenticated, {rule}]")), [expected], "{rule}");
    }
    each_is_refused(&[
        ("access: { allow: any_authenticated }", "1: access.allow: must be a list"),
        ("access: { alow: [] }", "1: access.alow: unknown field; did you mean `allow`?"),
    ]);
}

#[test]
fn a_key_header_that_would_break_calls_is_refused() {
    for name in ["Host", "Content-Length", "Connection", "Transfer-Encoding", "Levee-Key"] {
        let name = name.to_ascii_lowercase();
        let expected = format!(
            "1: access.keyHeader: `{name}` belongs to the connection or to Levee; a policy cannot change it"
        );
        assert_eq!(said(&format!("access: {{ keyHeader: {name} }}")), [expected]);
    }
    for name in ["authorization", "cookie", "via", "x-forwarded-for"] {
        let expected =
            format!("1: access.keyHeader: `{name}` cannot be it; name a header such as `x-api-key`");
        assert_eq!(said(&format!("access: {{ keyHeader: {name} }}")), [expected]);
    }
    each_is_refused(&[(
        "access: { keyHeader: 'x key' }",
        "1: access.keyHeader: `x key` is not a header name (RFC 9110 section 5.1)",
    )]);
}
