//! How a moment is written among values of our own: nanoseconds of Unix time.

use serde::{Deserialize as _, Deserializer, Serializer, de};
use time::OffsetDateTime;

/// Writes it.
pub(super) fn serialize<S: Serializer>(moment: &OffsetDateTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i128(moment.unix_timestamp_nanos())
}

/// Reads it.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<OffsetDateTime, D::Error> {
    let nanos = i128::deserialize(from)?;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(de::Error::custom)
}
