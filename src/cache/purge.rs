//! A purge as it is asked for and as it is written in the log: in plain words, so that every replica can read it,
//! whatever secret its keys are hashed with.

use super::{key, purges};
use crate::models::policy::BaseUrl;

/// What a purge is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One path of one origin, with every query, operation and caller: what a key has of it.
    Path(String),
    /// What an upstream marked with this tag.
    Tag {
        /// The upstream.
        upstream: String,
        /// The tag.
        tag: String,
    },
    /// Paths of an upstream that match: `*` within a segment, `**` across segments.
    Glob {
        /// The upstream.
        upstream: String,
        /// The pattern, for the path as it goes to the upstream.
        pattern: String,
    },
    /// Everything of an upstream.
    Upstream(String),
    /// Everything.
    All,
}

impl Scope {
    /// A path as it goes to the upstream with this base URL.
    pub fn path(base: &BaseUrl, path: &str) -> Self {
        let scheme = if base.https { "https" } else { "http" };
        Self::Path(key::path_text(scheme, &base.host, base.port, path))
    }

    /// Paths below an upstream's base URL. The error says what is wrong with the pattern.
    pub fn glob(upstream: &str, base: &BaseUrl, pattern: &str) -> Result<Self, String> {
        let pattern = format!("{}{pattern}", globset::escape(&base.path));
        purges::glob(&pattern).map_err(|error| format!("is no glob: {}", error.kind()))?;
        Ok(Self::Glob { upstream: upstream.to_owned(), pattern })
    }
}

/// What becomes of what is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strength {
    /// It is gone.
    Hard,
    /// It is stale: it has to be confirmed, or serves where stale answers may.
    Soft,
}

/// A purge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Purge {
    /// What it is about.
    pub scope: Scope,
    /// What becomes of it.
    pub strength: Strength,
}

impl Purge {
    /// Everything has to be asked for again.
    pub(super) const EVERYTHING_STALE: Self = Self { scope: Scope::All, strength: Strength::Soft };

    /// Its three words in the log: operation, argument, strength.
    pub(super) fn words(&self) -> [String; 3] {
        let (operation, argument) = match &self.scope {
            Scope::Path(path) => ("path", path.clone()),
            Scope::Tag { upstream, tag } => ("tag", format!("{upstream}\n{tag}")),
            Scope::Glob { upstream, pattern } => ("glob", format!("{upstream}\n{pattern}")),
            Scope::Upstream(upstream) => ("upstream", upstream.clone()),
            Scope::All => ("all", String::new()),
        };
        let strength = match self.strength {
            Strength::Hard => "hard",
            Strength::Soft => "soft",
        };
        [operation.to_owned(), argument, strength.to_owned()]
    }

    /// Reads them. What a newer version wrote and this one does not understand makes everything stale: too much is
    /// asked for again, nothing outdated is served.
    pub(super) fn of_words(operation: &str, argument: &str, strength: &str) -> Self {
        let strength = match strength {
            "hard" => Strength::Hard,
            "soft" => Strength::Soft,
            _ => return Self::EVERYTHING_STALE,
        };
        let pair = argument.split_once('\n').map(|(upstream, rest)| (upstream.to_owned(), rest.to_owned()));
        let scope = match (operation, pair) {
            ("path", _) => Scope::Path(argument.to_owned()),
            ("tag", Some((upstream, tag))) => Scope::Tag { upstream, tag },
            ("glob", Some((upstream, pattern))) => Scope::Glob { upstream, pattern },
            ("upstream", None) => Scope::Upstream(argument.to_owned()),
            ("all", None) => Scope::All,
            _ => return Self::EVERYTHING_STALE,
        };
        Self { scope, strength }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_the_log_is_read_as_it_was_meant() {
        let of = |upstream: &str| upstream.to_owned();
        for scope in [
            Scope::Path("https\napi.example.com:00443\n/quotes/1".to_owned()),
            Scope::Tag { upstream: of("rates"), tag: "a tag".to_owned() },
            Scope::Glob { upstream: of("rates"), pattern: "/quotes/**".to_owned() },
            Scope::Upstream(of("team.rates")),
            Scope::All,
        ] {
            for strength in [Strength::Hard, Strength::Soft] {
                let purge = Purge { scope: scope.clone(), strength };
                let [operation, argument, strength] = purge.words();
                assert_eq!(Purge::of_words(&operation, &argument, &strength), purge);
            }
        }
    }

    #[test]
    fn what_is_not_understood_makes_everything_stale() {
        for (operation, argument, strength) in [
            ("operation", "rates/quote", "hard"),
            ("tag", "no upstream", "hard"),
            ("all", "", "gentle"),
            ("", "", ""),
        ] {
            assert_eq!(Purge::of_words(operation, argument, strength), Purge::EVERYTHING_STALE);
        }
    }
}
