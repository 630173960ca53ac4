//! People who sign in.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::principal::Role;

/// Longest address (RFC 5321 section 4.5.3.1).
const LONGEST_EMAIL: usize = 254;

/// An e-mail address as its owner writes it. Two that differ only in case are the same address here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email {
    text: String,
    key: String,
}

impl Email {
    /// An address of one `@` with something plausible on each side; only mail proves more.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@')?;
        let plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '@')
        };
        let dotted = domain.split('.').all(|label| !label.is_empty());
        let sound =
            text.len() <= LONGEST_EMAIL && local.len() <= 64 && plain(local) && plain(domain) && dotted;
        sound.then(|| Self { text: text.to_owned(), key: folded(text) })
    }

    /// As its owner writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same for every spelling; what is unique.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The same for every way to write capitals and small letters, whichever letter stands beside them: some small ones
/// have one capital between them (`σ` and `ς`), some capitals are two letters (`ß`).
pub fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("is not an e-mail address")
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.text
    }
}

impl fmt::Display for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Identifier.
    pub id: Uuid,
    /// Unique regardless of case.
    pub email: Email,
    /// For people to read.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// They may not sign in, and their tokens no longer count.
    pub disabled: bool,
    /// Rises when the password changes or the user is disabled: tokens of an earlier epoch no longer count.
    pub epoch: i64,
    /// When they were created.
    #[serde(with = "super::moment")]
    pub created: OffsetDateTime,
    /// When anything but the password last changed.
    #[serde(with = "super::moment")]
    pub updated: OffsetDateTime,
    /// Which state this is, for `If-Match`: rises by one with each change.
    pub version: i64,
}

/// A person to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Identifier.
    pub id: Uuid,
    /// Unique regardless of case.
    pub email: Email,
    /// For people to read.
    pub name: String,
    /// PHC string; `None`: cannot sign in before a reset.
    pub password_hash: Option<String>,
    /// What they may do.
    pub role: Role,
}

/// What to change of a person; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// For people to read.
    pub name: Option<String>,
    /// What they may do.
    pub role: Option<Role>,
    /// Whether they are shut out.
    pub disabled: Option<bool>,
}

/// Which people a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Only this role.
    pub role: Option<Role>,
    /// Only the disabled, or only the others.
    pub disabled: Option<bool>,
    /// Only addresses and names that contain this, regardless of case.
    pub search: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_make_another_address() {
        assert_eq!(Email::parse("Ada@Example.com"), Email::parse(" ada@example.COM "));
        assert_eq!(Email::parse("Ada@Example.com").unwrap().as_str(), "Ada@Example.com");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        let long = format!("a@{}", "b".repeat(254));
        for text in ["", "ada", "@example.com", "ada@", "a b@example.com", "a@b@c", "a@b..c", "a\n@b", &long]
        {
            assert!(Email::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn capitals_make_no_other_address_in_any_script() {
        for (one, other) in [
            ("Ada@Example.com", "ada@EXAMPLE.COM"),
            ("ÄDA@example.com", "äda@example.com"),
            ("ΟΔΟΣ@example.com", "οδος@example.com"),
            ("οδοσ@example.com", "οδος@example.com"),
            ("STRASSE@example.com", "straße@example.com"),
            ("\u{212a}im@example.com", "kim@example.com"),
        ] {
            assert_eq!(Email::parse(one).unwrap(), Email::parse(other).unwrap());
        }
        assert_ne!(Email::parse("ada@example.com"), Email::parse("äda@example.com"));
    }
}
