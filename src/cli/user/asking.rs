//! Passwords from a terminal, unseen and twice, or from standard input; never from an argument, which others can read.

use std::io::{self, Error, Read as _};

use secrecy::{ExposeSecret as _, SecretString};

/// Bytes read from standard input: more than any password has.
const MOST: u64 = 4096;

/// Asks the person at the terminal.
pub(super) fn ask() -> io::Result<SecretString> {
    let first = SecretString::from(rpassword::prompt_password("Password: ")?);
    let again = SecretString::from(rpassword::prompt_password("Once more: ")?);
    if first.expose_secret() != again.expose_secret() {
        return Err(Error::other("the two are not the same"));
    }
    Ok(first)
}

/// Everything on standard input but the end of the line.
pub(super) fn read_stdin() -> io::Result<SecretString> {
    let mut text = String::new();
    io::stdin().take(MOST).read_to_string(&mut text)?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}
