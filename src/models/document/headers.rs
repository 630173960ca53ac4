//! `headers`: what is set and removed on the way to the upstream.

use http::{HeaderName, HeaderValue};

use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::HeaderRules;

/// The fields of the block.
pub(super) const FIELDS: Fields = Fields::all(&["set", "remove"]);

/// Reads the block.
pub(super) fn read(block: &Object) -> HeaderRules {
    let set = block.read("set", pairs).unwrap_or_default();
    let remove = block.read("remove", |place| {
        place.list_of(64, |item| {
            let name = item.as_policy_header(item.text(256)?)?;
            if set.iter().any(|(given, _)| *given == name) {
                item.refuse(format!("`{name}` is also in `set`, which replaces it already"));
                return None;
            }
            Some(name)
        })
    });
    HeaderRules { set, remove: remove.unwrap_or_default() }
}

/// Headers and their values, names in lower case and unique.
pub(super) fn pairs(place: &Place) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut pairs: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, field) in place.named(64)? {
        let (Some(name), Some(value)) = (field.as_policy_header(name), field.header_value()) else {
            continue;
        };
        if pairs.iter().any(|(earlier, _)| *earlier == name) {
            field.refuse(format!("`{name}` is given twice; capitals make no difference"));
        }
        pairs.push((name, value));
    }
    Some(pairs)
}
