//! API keys: `lvk_<id>_<base62 of 32 random bytes><crc32>`. The checksum refuses a mistyped key before anything is hashed.
//!
//! Every part has a fixed width: the id is the key's UUID in 32 hexadecimal digits, as readable in a key that was found
//! somewhere as in the list of keys; the secret has 43 digits of base62, the checksum over all that stands before it 6.

use aws_lc_rs::{constant_time, digest, rand};
use secrecy::SecretString;
use uuid::Uuid;

use crate::models::session::SecretHash;

/// What every key begins with.
pub const PREFIX: &str = "lvk_";

const ID: usize = 32;
const SECRET: usize = 43;
const CHECKSUM: usize = 6;
/// Characters of a key. A token of ours has more.
pub(super) const LENGTH: usize = PREFIX.len() + ID + 1 + SECRET + CHECKSUM;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key as presented, sound in form; whether it is one that was issued only its hash can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// Which key it says to be.
    pub id: Uuid,
    /// SHA-256 of the whole key.
    pub hash: SecretHash,
}

impl Presented {
    /// Whether it is the key that was kept as `kept`; takes as long for a near miss as for a far one.
    pub fn is(&self, kept: &SecretHash) -> bool {
        constant_time::verify_slices_are_equal(&self.hash, kept).is_ok()
    }
}

/// A fresh key: the text to show once, and the hash to keep.
pub fn mint(id: Uuid) -> (SecretString, SecretHash) {
    let mut random = [0; 32];
    rand::fill(&mut random).expect("the system's source of randomness never fails once it is open");
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    text.push_str(id.simple().encode_lower(&mut Uuid::encode_buffer()));
    text.push('_');
    text.extend(base62::<SECRET>(random).map(char::from));
    text.extend(checksum_of(&text).map(char::from));
    let hash = sha256(&text);
    (SecretString::from(text), hash)
}

/// A key as presented; `None` when its form or checksum is wrong, which is found out before anything is hashed.
pub fn read(presented: &str) -> Option<Presented> {
    let ascii = presented.len() == LENGTH && presented.is_ascii();
    let (id, secret) = presented.strip_prefix(PREFIX).filter(|_| ascii)?.split_at(ID);
    let sound = secret.starts_with('_')
        && secret[1..].bytes().all(|byte| byte.is_ascii_alphanumeric())
        && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (told, checksum) = presented.split_at(LENGTH - CHECKSUM);
    let sound = sound && checksum.as_bytes() == checksum_of(told);
    let id = Uuid::try_parse(id).ok().filter(|_| sound)?;
    Some(Presented { id, hash: sha256(presented) })
}

fn checksum_of(text: &str) -> [u8; CHECKSUM] {
    base62(crc32fast::hash(text.as_bytes()).to_be_bytes())
}

/// A number of big-endian bytes as `WIDTH` digits, the most significant first: long division by 62.
fn base62<const WIDTH: usize>(mut number: impl AsMut<[u8]>) -> [u8; WIDTH] {
    let mut digits = [b'0'; WIDTH];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0;
        for byte in number.as_mut() {
            let dividend = remainder << 8 | usize::from(*byte);
            *byte = (dividend / DIGITS.len()) as u8;
            remainder = dividend % DIGITS.len();
        }
        *digit = DIGITS[remainder];
    }
    digits
}

fn sha256(text: &str) -> SecretHash {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_shows_its_id_and_has_one_width() {
        let id = Uuid::from_u128(0x0190_b4c2_0000_7000_8000_0000_0000_00ff);
        let (key, hash) = mint(id);
        let text = key.expose_secret();
        assert!(text.starts_with("lvk_0190b4c20000700080000000000000ff_"));
        assert_eq!(text.len(), 86);
        assert_eq!(read(text), Some(Presented { id, hash }));
        assert!(read(text).unwrap().is(&hash) && !read(text).unwrap().is(&[0; 32]));
        assert!(!format!("{key:?}").contains(&text[40..]));
        assert_ne!(mint(id).1, hash, "two keys share nothing but the id");
    }

    #[test]
    fn digits_are_those_of_long_division() {
        assert_eq!(&base62::<6>(61_u32.to_be_bytes()), b"00000z");
        assert_eq!(&base62::<6>(62_u32.to_be_bytes()), b"000010");
        assert_eq!(&base62::<6>(u32::MAX.to_be_bytes()), b"4gfFC3");
        assert_eq!(&base62::<43>([0xff; 32]), b"yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
    }

    #[test]
    fn what_has_another_form_is_no_key() {
        let (key, _) = mint(Uuid::now_v7());
        let text = key.expose_secret();
        let umlaut = format!("{}ä{}", &text[..50], &text[52..]);
        for other in ["", "lvk_", &text[4..], &text[..85], &format!("{text}0"), &text.to_uppercase(), &umlaut]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_mistyped_key_is_refused_by_its_checksum(at in 4_usize..86, put in 0_usize..62) {
            let (key, _) = mint(Uuid::now_v7());
            let mut bytes = key.expose_secret().as_bytes().to_vec();
            prop_assume!(bytes[at] != DIGITS[put]);
            bytes[at] = DIGITS[put];
            prop_assert_eq!(read(std::str::from_utf8(&bytes).unwrap()), None);
        }
    }
}
