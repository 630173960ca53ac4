//! What the databases say, as errors of the store. No SQLSTATE is known above this file.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::postgres::PgDatabaseError;

use super::{Conflict, StoreError};

/// The names of what is unique: PostgreSQL tells the constraint, SQLite the column.
const UNIQUE: [(&str, &str, Conflict); 3] = [
    ("users_email_unique", "users.email_key", Conflict::Email),
    ("service_accounts_name_unique", "service_accounts.name", Conflict::ServiceAccountName),
    ("upstreams_name_unique", "upstreams.name", Conflict::UpstreamName),
];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(told) => match conflict(told.as_ref()) {
                Some(conflict) => Self::Conflict(conflict),
                None if told.kind() == ErrorKind::ForeignKeyViolation => Self::NotFound,
                None if passing(told.as_ref()) => Self::Unavailable(error),
                None => Self::Refused(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            // A connection that breaks in the middle of a message.
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable(error),
            _ => Self::Refused(error),
        }
    }
}

fn conflict(told: &dyn DatabaseError) -> Option<Conflict> {
    if told.kind() != ErrorKind::UniqueViolation {
        return None;
    }
    let names = |(constraint, column, _): &&(&str, &str, Conflict)| {
        told.constraint() == Some(constraint) || told.message().ends_with(column)
    };
    UNIQUE.iter().find(names).map(|(_, _, conflict)| *conflict)
}

/// Whether it is the database's trouble of the moment: the same request may be served later.
fn passing(told: &dyn DatabaseError) -> bool {
    let Some(code) = told.code() else { return false };
    if told.try_downcast_ref::<PgDatabaseError>().is_some() {
        // Broken connection, out of resources, shutting down or cancelled, disk; a standby that takes no writes;
        // serialisation, deadlock, lock not had in time, transaction that stood idle, a database closed for maintenance.
        let classes = ["08", "53", "57", "58"];
        let codes = ["25006", "25P03", "25P04", "40001", "40P01", "55000", "55P03"];
        return classes.iter().any(|class| code.starts_with(class)) || codes.contains(&&*code);
    }
    // SQLITE_BUSY, _LOCKED, _READONLY, _IOERR, _FULL, _CANTOPEN; the low byte of an extended code is the plain one.
    code.parse::<i32>().is_ok_and(|code| [5, 6, 8, 10, 13, 14].contains(&(code & 0xff)))
}
