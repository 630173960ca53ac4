//! What every list shares: `?limit=` (1 to 200, 50) and `?cursor=`, answered with `items` and, when more follow, `next`.
//!
//! A handler of a list takes
//!
//! ```ignore
//! #[oai(name = "limit", default = "default_limit", validator(minimum(value = "1"), maximum(value = "200")))]
//! limit: Query<u32>,
//! #[oai(name = "cursor")]
//! cursor: Query<Option<String>>,
//! ```
//!
//! hands [`page_request`] to the service, and answers with [`next`] of the page's key.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::ApiError;
use crate::error::Failure;
use crate::models::page::PageRequest;

/// Items on a page when the caller does not say.
pub(super) fn default_limit() -> u32 {
    50
}

/// The part of a list that was asked for.
pub(super) fn page_request<K: FromStr>(limit: u32, cursor: Option<&str>) -> Result<PageRequest<K>, ApiError> {
    Ok(PageRequest { after: cursor.map(key_of).transpose()?, limit })
}

/// What a client sends as `cursor` to go on after `key`: opaque, so that nobody builds on what is in it.
pub(super) fn next(key: impl Display) -> String {
    URL_SAFE_NO_PAD.encode(key.to_string())
}

/// The key a cursor holds; 400 naming `cursor` when no page gave it out.
pub(super) fn key_of<K: FromStr>(cursor: &str) -> Result<K, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.contains('\0'));
    key.and_then(|key| key.parse().ok())
        .ok_or_else(|| Failure::invalid("cursor", "is not the `next` of a page of this list").into())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cursor_holds_its_key_and_hides_it() {
        let key = Uuid::now_v7();
        let cursor = next(key);
        assert!(!cursor.contains(&key.to_string()));
        assert_eq!(
            page_request::<Uuid>(7, Some(&cursor)).unwrap(),
            PageRequest { after: Some(key), limit: 7 }
        );
        assert_eq!(page_request::<u64>(7, None).unwrap().after, None);
    }

    #[test]
    fn what_no_page_gave_out_is_named() {
        let not_utf8 = URL_SAFE_NO_PAD.encode(b"\xff");
        for cursor in ["", "!", "=", "bm90IGEgdXVpZA", &not_utf8, &next("7"), &next("\0")] {
            let ApiError(failure) = key_of::<Uuid>(cursor).unwrap_err();
            assert_eq!(failure.faults()[0].pointer, "cursor", "{cursor}");
        }
    }
}
