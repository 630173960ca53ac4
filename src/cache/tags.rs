//! What an answer can be purged by, beside its path and its upstream: `Cache-Tag`, `Surrogate-Key` and the policy's tags.

use http::HeaderMap;

use super::key::Keyer;

/// Tags of one answer; one with more could not be purged by all of them, so it is not stored.
const MOST: usize = 128;

/// The hashes that purges go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tags {
    pub(super) path: u64,
    pub(super) upstream: u64,
    pub(super) named: Box<[u64]>,
}

impl Tags {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = u64> {
        [self.path, self.upstream].into_iter().chain(self.named.iter().copied())
    }
}

/// The hashes of the tags that an answer names or is given; `None` where there are too many.
///
/// `Cache-Tag` is a list with commas, `Surrogate-Key` one with spaces.
pub(super) fn named(
    keyer: &Keyer,
    upstream: &str,
    headers: &HeaderMap,
    given: &[String],
) -> Option<Box<[u64]>> {
    let with_commas = headers.get_all("cache-tag").iter();
    let with_spaces = headers.get_all("surrogate-key").iter();
    let words = with_commas
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .chain(with_spaces.flat_map(|line| line.as_bytes().split(u8::is_ascii_whitespace)))
        .chain(given.iter().map(String::as_bytes))
        .map(<[u8]>::trim_ascii)
        .filter(|tag| !tag.is_empty());
    let mut hashes: Vec<u64> = words.take(MOST + 1).map(|tag| keyer.tag(upstream, tag)).collect();
    if hashes.len() > MOST {
        return None;
    }
    hashes.sort_unstable();
    hashes.dedup();
    Some(hashes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::fixtures::headers;

    #[test]
    fn both_headers_are_read_in_their_own_way() {
        let keyer = Keyer::new(&[7; 32]);
        let given = ["g".to_owned()];
        let of = |lines: &[&str]| named(&keyer, "rates", &headers(lines), &given).unwrap();
        let tags = of(&["cache-tag: a, b c,,a", "surrogate-key: d  a e"]);
        assert_eq!(tags.len(), 5, "a, `b c`, d, e, the policy's own, and nothing twice");
        assert!(tags.contains(&keyer.tag("rates", b"b c")) && tags.contains(&keyer.tag("rates", b"e")));
        assert!(!tags.contains(&keyer.tag("other", b"a")), "a tag is its upstream's own");
        assert_eq!(of(&[])[..], [keyer.tag("rates", b"g")]);
    }

    #[test]
    fn what_has_too_many_tags_cannot_be_stored() {
        let keyer = Keyer::new(&[7; 32]);
        let list = |count: usize| vec!["t"; count].join(" ");
        let of = |count| named(&keyer, "rates", &headers(&[&format!("surrogate-key: {}", list(count))]), &[]);
        assert!(of(MOST).is_some() && of(MOST + 1).is_none());
    }
}
