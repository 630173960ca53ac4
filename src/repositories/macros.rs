//! One body, stamped on both databases. A body is written once, against `tx`; the macros make of it one task over
//! PostgreSQL and one over SQLite, and begin, number, note and commit around it.
//!
//! The task is awaited by its handle and never cut short. That is what keeps connections whole: sqlx 0.9 gives a
//! connection back inside an open transaction when the future that sends `BEGIN` is dropped.

/// Names SQL texts, and lists them for the test that has both databases prepare each.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $($part:expr),+;)+) => {
        $($(#[$doc])* pub(super) const $name: &str = concat!($($part),+);)+
        /// Every statement of this file.
        #[cfg(test)]
        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}
pub(super) use statements;

/// A body in a task of its own, with a connection of the pool that is named for SQLite.
macro_rules! stamp {
    ($store:expr, $pool:ident, |$database:ident, $connection:ident: $kind:ident| $work:expr) => {{
        match &*$store.backend {
            $crate::repositories::Backend::Postgres(database) => {
                type $kind = sqlx::PgConnection;
                let $database = database.clone();
                let task = async move {
                    let mut $connection = $database.acquire().await?;
                    $work
                };
                $store.detached(Box::pin(task)).await
            }
            $crate::repositories::Backend::Sqlite(database) => {
                type $kind = sqlx::SqliteConnection;
                let $database = database.clone();
                let task = async move {
                    let mut $connection = $database.$pool().await?;
                    $work
                };
                $store.detached(Box::pin(task)).await
            }
        }
    }};
}
pub(super) use stamp;

/// A body that only asks, and asks once: `read!(self, |tx| …)` makes `Result<T, StoreError>`.
macro_rules! read {
    ($store:expr, |$tx:ident| $body:expr) => {
        $crate::repositories::macros::stamp!($store, reader, |database, connection: Connection| {
            let work = async move |$tx: &mut Connection| -> Result<_, StoreError> { $body };
            work(&mut connection).await
        })
    };
}
pub(super) use read;

/// A body that asks more than once and must see one state.
macro_rules! read_together {
    ($store:expr, |$tx:ident| $body:expr) => {
        $crate::repositories::macros::stamp!($store, reader, |database, connection: Connection| {
            let work = async move |$tx: &mut Connection| -> Result<_, StoreError> { $body };
            let mut transaction = database.begin_reading(&mut connection).await?;
            let found = work(&mut transaction).await;
            transaction.rollback().await?;
            found
        })
    };
}
pub(super) use read_together;

/// A body that writes what no replica has to learn of. It answers with [`Done`](super::Done).
macro_rules! record {
    ($store:expr, |$tx:ident| $body:expr) => {{
        let written = std::sync::Arc::clone(&$store.written);
        $crate::repositories::macros::stamp!($store, writer, |database, connection: Connection| {
            let work = async move |$tx: &mut Connection| -> Result<Done<_>, StoreError> { $body };
            let mut transaction = database.begin_writing(&mut connection).await?;
            let done = work(&mut transaction).await;
            let (value, _) = $crate::repositories::macros::settle!(transaction, done, written);
            Ok(value)
        })
    }};
}
pub(super) use record;

/// A body that writes what every replica has to learn of, under the revision it makes; it answers with
/// [`Done`](super::Done), which becomes `Changed`. The revision is raised first: its row makes these writes queue, so
/// that a body may decide by what it reads. Replicas are told after the commit, outside the transaction: PostgreSQL
/// lets only one transaction with a notification commit at a time.
macro_rules! change {
    ($store:expr, |$tx:ident, $revision:ident| $body:expr) => {{
        let hint = std::sync::Arc::clone(&$store.hint);
        let written = std::sync::Arc::clone(&$store.written);
        $crate::repositories::macros::stamp!($store, writer, |database, connection: Connection| {
            let work =
                async move |$tx: &mut Connection, $revision: i64| -> Result<Done<_>, StoreError> { $body };
            let mut transaction = database.begin_writing(&mut connection).await?;
            let raised: i64 = sqlx::query_scalar($crate::repositories::revision::RAISE)
                .fetch_one(&mut *transaction)
                .await?;
            let done = work(&mut transaction, raised).await;
            let (value, kept) = $crate::repositories::macros::settle!(transaction, done, written);
            if kept {
                hint.notify_one();
                database.tell_others(&mut connection).await;
            }
            let revision = raised.cast_unsigned() - u64::from(!kept);
            Ok($crate::repositories::Changed { value, revision })
        })
    }};
}
pub(super) use change;

/// Ends a transaction as its body says, with the body's note in it: the value, and whether anything was kept. What was
/// noted is told of.
macro_rules! settle {
    ($transaction:ident, $done:ident, $written:ident) => {
        match $done {
            Ok(Done::Noted(value, note)) => {
                $crate::repositories::macros::note!(&mut *$transaction, note);
                $transaction.commit().await?;
                $written.tell();
                (value, true)
            }
            Ok(Done::Silent(value)) => {
                $transaction.commit().await?;
                (value, true)
            }
            Ok(Done::Nothing(value)) => {
                $transaction.rollback().await?;
                (value, false)
            }
            Err(error) => {
                // The error says more than what the way back may add.
                let _ = $transaction.rollback().await;
                return Err(error);
            }
        }
    };
}
pub(super) use settle;

/// Writes one audit entry.
macro_rules! note {
    ($connection:expr, $note:expr) => {{
        let note: $crate::repositories::Note = $note;
        sqlx::query($crate::repositories::audit::NOTE)
            .bind(uuid::Uuid::now_v7())
            .bind($crate::repositories::rows::now())
            .bind($crate::repositories::rows::plain(&note.actor.subject))
            .bind(note.actor.id)
            .bind(note.action)
            .bind($crate::repositories::rows::plain(&note.target))
            .bind($crate::repositories::rows::Document(note.details))
            .bind(note.actor.address.map(|address| address.to_string()))
            .bind(note.actor.request.as_deref().map($crate::repositories::rows::plain))
            .execute($connection)
            .await?;
    }};
}
pub(super) use note;
