//! What is no good password: too short, common, a simple row, or about its owner. No rules of composition (NIST SP
//! 800-63B section 3.1.1.2).

/// Least and most characters of a password.
pub const LENGTH: std::ops::RangeInclusive<usize> = 15..=256;

/// Lower case, one a line; `#` begins a comment.
const COMMON: &str = include_str!("common.txt");

/// Why a password is not good enough, for a person; `None`: it is. `about` are words that must not be all there is to
/// it: the user's name and address.
pub fn refuse(password: &str, about: &[&str]) -> Option<&'static str> {
    // Four bytes are the most of a character: beyond that there is nothing to count.
    if password.len() > 4 * LENGTH.end() || password.chars().count() > *LENGTH.end() {
        return Some("has more than 256 characters");
    }
    if password.chars().count() < *LENGTH.start() {
        return Some("has fewer than 15 characters");
    }
    let lower = password.to_lowercase();
    if is_row(&lower) || repeats(&lower) {
        return Some("is a simple row or repetition of characters");
    }
    if is_common(&lower) || is_common(lower.trim_matches(|c: char| !c.is_alphabetic())) {
        return Some("is one of the passwords that are guessed first");
    }
    is_about(&lower, about).then_some("is little more than the user's name or address")
}

fn is_common(word: &str) -> bool {
    COMMON.lines().any(|line| line == word && !line.starts_with('#'))
}

/// `abcdefghijklmnop`, `987654321098765`: each character the same step from the one before; digits turn over.
fn is_row(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let step = |pair: &[char]| match (pair[0].to_digit(10), pair[1].to_digit(10)) {
        (Some(one), Some(two)) => (i64::from(two) - i64::from(one)).rem_euclid(10),
        _ => i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0])),
    };
    let mut steps = characters.windows(2).map(step);
    let first = steps.next();
    first.is_some_and(|first| [1, -1, 9].contains(&first)) && steps.all(|step| Some(step) == first)
}

/// A part of at most half its length again and again; the last time perhaps not to its end.
fn repeats(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    (1..=characters.len() / 2).any(|part| characters.iter().zip(&characters[part..]).all(|(a, b)| a == b))
}

/// Nothing but the words, their parts, digits and signs.
fn is_about(lower: &str, about: &[&str]) -> bool {
    let mut words: Vec<String> = about
        .iter()
        .map(|text| text.to_lowercase())
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>())
        .filter(|word| word.chars().count() >= 3)
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut left = lower.to_owned();
    for word in &words {
        left = left.replace(word.as_str(), "");
    }
    left.len() < lower.len() && !left.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> Option<&'static str> {
        refuse(password, &["Ada Lovelace", "ada.lovelace@example.com"])
    }

    #[test]
    fn length_counts_in_characters() {
        assert_eq!(refused("fourteen chars"), Some("has fewer than 15 characters"));
        assert_eq!(refused("fifteen-letters"), None);
        assert_eq!(refused("üöäüßéèêàçñøåæœ"), None);
        let long: String = ('一'..).step_by(3).take(256).collect();
        assert_eq!(refused(&long), None);
        assert_eq!(refused(&format!("{long}x")), Some("has more than 256 characters"));
        assert_eq!(refused(&"é".repeat(600_000)), Some("has more than 256 characters"));
    }

    #[test]
    fn a_common_one_is_refused_however_it_is_written() {
        for common in [
            "qwerty123456789",
            "QWERTY123456789",
            "polniypizdec0211",
            "Congratulations",
            "password2026!!!!",
            "1234-Princess-1234",
        ] {
            assert_eq!(refused(common), Some("is one of the passwords that are guessed first"), "{common}");
        }
        assert_eq!(refused("# lower case, one a line."), None, "a comment is no password");
    }

    #[test]
    fn a_row_or_a_repetition_is_refused() {
        for simple in
            ["aaaaaaaaaaaaaaa", "abcdefghijklmno", "zyxwvutsrqponml", "012345678901234", "321098765432109"]
        {
            assert!(refused(simple).is_some_and(|why| why.starts_with("is a simple row")), "{simple}");
        }
        for again in ["Levee7Levee7Levee7", "abcabcabcabcabca", "hunter2hunter2hu"] {
            assert!(refused(again).is_some_and(|why| why.starts_with("is a simple row")), "{again}");
        }
    }

    #[test]
    fn the_owners_name_and_address_are_refused_alone_but_not_within_more() {
        for about in
            ["ada.lovelace@example.com", "Ada-Lovelace-1815", "lovelaceada12345", "LovelaceLovelace!"]
        {
            assert!(refused(about).is_some(), "{about}");
        }
        assert_eq!(refused("ada met babbage in 1833"), None);
        assert_eq!(refused("831947502938475"), None);
    }
}
