//! Who may call an upstream.

use http::HeaderName;

use crate::models::principal::{Principal, PrincipalKind};

/// `access`: who may call an upstream, and where else a caller may prove who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Whoever matches one of these; nobody where there are none.
    pub allow: Vec<Allow>,
    /// A header that may hold a caller's proof beside the usual ones, for clients that insist on `x-api-key`.
    pub key_header: Option<HeaderName>,
}

/// One rule of `access.allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// Whoever it is, proved or not. Cannot be written: what `levee dev` reads out of a document that says nothing.
    Anybody,
    /// Whoever proves who it is.
    AnyAuthenticated,
    /// Principals of one kind whose name matches.
    Named(PrincipalKind, Pattern),
}

impl Access {
    /// Whether this caller may call; `None` proved nothing.
    pub fn admits(&self, caller: Option<&Principal>) -> bool {
        self.allow.iter().any(|rule| match (rule, caller) {
            (Allow::Anybody, _) | (Allow::AnyAuthenticated, Some(_)) => true,
            (Allow::AnyAuthenticated | Allow::Named(..), None) => false,
            (Allow::Named(kind, pattern), Some(caller)) => {
                *kind == caller.kind && pattern.matches(&caller.name)
            }
        })
    }
}

/// A name in which each `*` stands for any text, the empty one too. Capitals of ASCII make no difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that is written so.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether a name matches from its first to its last character. Takes no memory: every call asks.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut seen) = (0, 0);
        // The last star, and how much of the name it stands for so far.
        let mut star = None;
        while seen < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, seen));
                    at += 1;
                }
                Some(byte) if byte.eq_ignore_ascii_case(&name[seen]) => {
                    at += 1;
                    seen += 1;
                }
                _ => {
                    let Some((place, taken)) = star else { return false };
                    star = Some((place, taken + 1));
                    at = place + 1;
                    seen = taken + 1;
                }
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::models::principal::Class;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("billing", "billing", true),
            ("billing", "billing-eu", false),
            ("billing-*", "billing-eu", true),
            ("billing-*", "billing-", true),
            ("billing-*", "billing", false),
            ("*", "anything", true),
            ("*@example.com", "Ada@Example.com", true),
            ("*@example.com", "ada@example.com.evil.example", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("**", "", true),
            ("a.c", "abc", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_rule_is_for_one_kind_of_principal() {
        let caller = |kind, name: &str| Principal {
            kind,
            id: Uuid::nil(),
            name: name.to_owned(),
            role: None,
            class: Class::Normal,
        };
        let access = |allow: Vec<Allow>| Access { allow, key_header: None };
        let (program, person) =
            (caller(PrincipalKind::ServiceAccount, "billing"), caller(PrincipalKind::User, "billing"));
        let programs = access(vec![Allow::Named(PrincipalKind::ServiceAccount, Pattern::new("billing"))]);
        assert!(programs.admits(Some(&program)));
        assert!(!programs.admits(Some(&person)) && !programs.admits(None));
        let proved = access(vec![Allow::AnyAuthenticated]);
        assert!(proved.admits(Some(&program)) && proved.admits(Some(&person)) && !proved.admits(None));
        let nobody = access(Vec::new());
        assert!(!nobody.admits(Some(&program)) && !nobody.admits(None));
        assert!(access(vec![Allow::Anybody]).admits(None));
    }
}
