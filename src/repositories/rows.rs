//! How values stand in rows: times as microseconds, enumerations and documents as text.

use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Postgres, Sqlite, Type};
use time::OffsetDateTime;

use crate::models::user::folded;

/// Now, as rows hold it.
pub(super) fn now() -> i64 {
    micros(OffsetDateTime::now_utc())
}

/// Microseconds since 1970.
pub(super) fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1000)).expect("the years of a date fit")
}

/// The moment a row holds.
pub(super) fn moment(micros: i64) -> Result<OffsetDateTime, sqlx::Error> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).map_err(|error| wrong(&error))
}

/// The moment a row may hold.
pub(super) fn moment_if(micros: Option<i64>) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    micros.map(moment).transpose()
}

/// One of an enumeration's words; only a newer Levee can have written another.
pub(super) fn word<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, sqlx::Error> {
    parse(text).ok_or_else(|| wrong(&format_args!("`{text}` is unknown to this version")))
}

fn wrong(cause: &dyn std::fmt::Display) -> sqlx::Error {
    sqlx::Error::Decode(cause.to_string().into())
}

/// Text as both databases take it: PostgreSQL has no NUL in text.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A pattern for `LIKE … ESCAPE '!'` that finds `text` anywhere.
pub(super) fn containing(text: &str) -> String {
    let escaped = folded(&plain(text)).replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}

/// A JSON document, kept as text: `json` in PostgreSQL, which keeps every digit, where `jsonb` would rewrite numbers
/// and refuse `\u0000`.
#[derive(Debug)]
pub(super) struct Document(pub(super) Value);

impl Type<Postgres> for Document {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("json")
    }
}

impl Type<Sqlite> for Document {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }

    fn compatible(kind: &SqliteTypeInfo) -> bool {
        <String as Type<Sqlite>>::compatible(kind)
    }
}

impl Encode<'_, Postgres> for Document {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<Postgres>>::encode_by_ref(&self.0.to_string(), buffer)
    }
}

impl Encode<'_, Sqlite> for Document {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<Sqlite>>::encode(self.0.to_string(), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Document {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(serde_json::from_str(value.as_str()?)?))
    }
}

impl<'r> Decode<'r, Sqlite> for Document {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(serde_json::from_str(<&str as Decode<Sqlite>>::decode(value)?)?))
    }
}
