//! Registered upstreams and their history.

use serde_json::{Value, json};

use super::macros::{change, read, statements};
use super::rows::{Document, moment, now, plain, word};
use super::{Changed, Done, Note, Store, StoreError};
use crate::models::page::{Page, PageRequest};
use crate::models::principal::Actor;
use crate::models::registration::{Registration, RevisionAction, UpstreamRevision};

macro_rules! columns {
    () => {
        "name, spec, revision, created, updated, updated_by"
    };
}

statements! {
    INSERT = "INSERT INTO upstreams (", columns!(), ") VALUES ($1, $2, $3, $4, $4, $5) RETURNING ", columns!();
    BY_NAME = "SELECT ", columns!(), " FROM upstreams WHERE name = $1";
    ALL = "SELECT ", columns!(), " FROM upstreams ORDER BY name";
    REPLACE = "UPDATE upstreams SET spec = $2, revision = $3, updated = $4, updated_by = $5 WHERE name = $1 \
        RETURNING ", columns!();
    DELETE = "DELETE FROM upstreams WHERE name = $1";
    DELETE_CREDENTIAL = "DELETE FROM credentials WHERE upstream = $1";
    DELETE_OVERRIDES = "DELETE FROM breaker_overrides WHERE upstream = $1";
    REMEMBER = "INSERT INTO upstream_revisions (name, revision, action, spec, at, by_whom) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    // Of each name the newest 200 changes are kept: a program that changes its upstream every minute must not fill the
    // database.
    FORGET_HISTORY = "DELETE FROM upstream_revisions WHERE name = $1 AND revision < (SELECT min(revision) FROM \
        (SELECT revision FROM upstream_revisions WHERE name = $1 ORDER BY revision DESC LIMIT 200) AS newest)";
    HISTORY = "SELECT name, revision, action, spec, at, by_whom FROM upstream_revisions WHERE name = $1 \
        AND (revision < $2 OR $2 IS NULL) ORDER BY revision DESC LIMIT $3";
    REVISION = "SELECT name, revision, action, spec, at, by_whom FROM upstream_revisions \
        WHERE name = $1 AND revision = $2";
}

/// A registered upstream as a row.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    name: String,
    spec: Document,
    revision: i64,
    created: i64,
    updated: i64,
    updated_by: String,
}

impl TryFrom<Row> for Registration {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.name,
            spec: row.spec.0,
            revision: row.revision.cast_unsigned(),
            created: moment(row.created)?,
            updated: moment(row.updated)?,
            updated_by: row.updated_by,
        })
    }
}

#[derive(sqlx::FromRow)]
struct HistoryRow {
    name: String,
    revision: i64,
    action: String,
    spec: Option<Document>,
    at: i64,
    by_whom: String,
}

impl TryFrom<HistoryRow> for UpstreamRevision {
    type Error = sqlx::Error;

    fn try_from(row: HistoryRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.name,
            revision: row.revision.cast_unsigned(),
            action: word(&row.action, RevisionAction::parse)?,
            spec: row.spec.map(|spec| spec.0),
            at: moment(row.at)?,
            by: row.by_whom,
        })
    }
}

/// The upstream to be changed, in the revision the writer read.
macro_rules! found {
    ($tx:ident, $name:expr, $expected:expr) => {{
        let row: Option<Row> = sqlx::query_as(BY_NAME).bind(&$name).fetch_optional(&mut *$tx).await?;
        let found = Registration::try_from(row.ok_or(StoreError::NotFound)?)?;
        if $expected.is_some_and(|expected| expected != found.revision) {
            return Err(StoreError::Stale);
        }
    }};
}

/// Adds to an upstream's history, and forgets what is too old in it.
macro_rules! remember {
    ($tx:ident, $name:expr, $revision:expr, $action:expr, $spec:expr, $at:expr, $actor:expr) => {
        sqlx::query(REMEMBER)
            .bind(&$name)
            .bind($revision)
            .bind($action.as_str())
            .bind($spec)
            .bind($at)
            .bind(plain(&$actor.subject))
            .execute(&mut *$tx)
            .await?;
        sqlx::query(FORGET_HISTORY).bind(&$name).execute(&mut *$tx).await?
    };
}

impl Store {
    /// Registers an upstream: `upstream.created`. `Conflict::UpstreamName` when the name is taken. It begins without a
    /// credential and unforced, whatever was kept for another upstream of that name.
    pub async fn create_upstream(
        &self,
        name: String,
        spec: Value,
        actor: Actor,
    ) -> Result<Changed<Registration>, StoreError> {
        let name = plain(&name);
        change!(self, |tx, revision| {
            let at = now();
            // Left by another upstream of this name, of a file perhaps: this one has been given neither.
            for statement in [DELETE_CREDENTIAL, DELETE_OVERRIDES] {
                sqlx::query(statement).bind(&name).execute(&mut *tx).await?;
            }
            let row: Row = sqlx::query_as(INSERT)
                .bind(&name)
                .bind(Document(spec.clone()))
                .bind(revision)
                .bind(at)
                .bind(plain(&actor.subject))
                .fetch_one(&mut *tx)
                .await?;
            remember!(tx, name, revision, RevisionAction::Created, Document(spec), at, actor);
            let note = noted(RevisionAction::Created, &name, revision, actor);
            Ok(Done::Noted(Registration::try_from(row)?, note))
        })
    }

    /// One registered upstream.
    pub async fn upstream(&self, name: String) -> Result<Registration, StoreError> {
        read!(self, |tx| {
            let row: Option<Row> =
                sqlx::query_as(BY_NAME).bind(plain(&name)).fetch_optional(&mut *tx).await?;
            Ok(row.ok_or(StoreError::NotFound)?.try_into()?)
        })
    }

    /// Replaces a document: `upstream.replaced` or `upstream.rolled_back`. `expected` is the revision the writer read:
    /// another one is `Stale`; `None` replaces whatever is there.
    pub async fn replace_upstream(
        &self,
        name: String,
        spec: Value,
        expected: Option<u64>,
        action: RevisionAction,
        actor: Actor,
    ) -> Result<Changed<Registration>, StoreError> {
        let name = plain(&name);
        change!(self, |tx, revision| {
            found!(tx, name, expected);
            let at = now();
            let row: Row = sqlx::query_as(REPLACE)
                .bind(&name)
                .bind(Document(spec.clone()))
                .bind(revision)
                .bind(at)
                .bind(plain(&actor.subject))
                .fetch_one(&mut *tx)
                .await?;
            remember!(tx, name, revision, action, Document(spec), at, actor);
            let note = noted(action, &name, revision, actor);
            Ok(Done::Noted(Registration::try_from(row)?, note))
        })
    }

    /// Takes an upstream away with its credential and its forced breakers: `upstream.deleted`. Its history stays.
    pub async fn delete_upstream(
        &self,
        name: String,
        expected: Option<u64>,
        actor: Actor,
    ) -> Result<Changed<()>, StoreError> {
        let name = plain(&name);
        change!(self, |tx, revision| {
            found!(tx, name, expected);
            for statement in [DELETE_CREDENTIAL, DELETE_OVERRIDES, DELETE] {
                sqlx::query(statement).bind(&name).execute(&mut *tx).await?;
            }
            remember!(tx, name, revision, RevisionAction::Deleted, None::<Document>, now(), actor);
            Ok(Done::Noted((), noted(RevisionAction::Deleted, &name, revision, actor)))
        })
    }

    /// The history of a name, its newest 200 entries at most, the newest first; the key is the revision. Empty when there
    /// never was one.
    pub async fn upstream_revisions(
        &self,
        name: String,
        page: PageRequest<u64>,
    ) -> Result<Page<UpstreamRevision, u64>, StoreError> {
        read!(self, |tx| {
            let rows: Vec<HistoryRow> = sqlx::query_as(HISTORY)
                .bind(plain(&name))
                .bind(page.after.map(u64::cast_signed))
                .bind(i64::from(page.limit) + 1)
                .fetch_all(&mut *tx)
                .await?;
            let entries: Result<Vec<UpstreamRevision>, _> =
                rows.into_iter().map(UpstreamRevision::try_from).collect();
            Ok(Page::of(entries?, page.limit, |entry| entry.revision))
        })
    }

    /// One entry of the history.
    pub async fn upstream_revision(
        &self,
        name: String,
        revision: u64,
    ) -> Result<UpstreamRevision, StoreError> {
        read!(self, |tx| {
            let found = sqlx::query_as(REVISION).bind(plain(&name)).bind(revision.cast_signed());
            let row: Option<HistoryRow> = found.fetch_optional(&mut *tx).await?;
            Ok(row.ok_or(StoreError::NotFound)?.try_into()?)
        })
    }
}

fn noted(action: RevisionAction, name: &str, revision: i64, actor: Actor) -> Note {
    let action = match action {
        RevisionAction::Created => "upstream.created",
        RevisionAction::Replaced => "upstream.replaced",
        RevisionAction::RolledBack => "upstream.rolled_back",
        RevisionAction::Deleted => "upstream.deleted",
    };
    Note { action, target: format!("upstream:{name}"), details: json!({ "revision": revision }), actor }
}
