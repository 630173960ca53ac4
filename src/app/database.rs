//! The database at the start: waited for, and judged before anything relies on it.

use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use crate::config::{Mode, Settings};
use crate::error::{Failure, Kind};
use crate::models::page::PageRequest;
use crate::models::registration::Stored;
use crate::models::user::UserFilter;
use crate::repositories::{SchemaError, Store, StoreError};
use crate::services::publication::kept::{Kept, KeptState};
use crate::services::users::Accounts;

/// How long between two tries to reach it.
const AGAIN: Duration = Duration::from_secs(1);

/// What to begin with.
pub(super) enum Beginning {
    /// The database answers and its schema is one this version works with.
    Database,
    /// It does not answer; this was kept the last time it did.
    Kept(Arc<Stored>),
}

/// Ends when there is something to begin with. In `dev` the schema is brought up to date; in production that is
/// `levee migrate`'s, so that nobody's start changes what others stand on.
pub(super) async fn beginning(
    store: &Store,
    mode: Mode,
    kept: Option<&Kept>,
) -> Result<Beginning, SchemaError> {
    let mut said = false;
    loop {
        let looked = match mode {
            Mode::Dev => store.migrate().await.map(|_| ()),
            Mode::Serve => store.check_schema().await,
        };
        match looked {
            Err(SchemaError::Store(StoreError::Unavailable(error))) => {
                if !said {
                    tracing::warn!(%error, "the database cannot be reached");
                    if let Some(kept) = kept {
                        let revision = kept.stored.revision;
                        tracing::warn!(revision, "beginning with the snapshot that was kept on disk");
                        return Ok(Beginning::Kept(Arc::clone(&kept.stored)));
                    }
                    tracing::warn!("not ready before the database can be reached");
                }
                said = true;
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(Beginning::Database),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What lies on disk, told only where it is of no use: mostly there is no need of it.
pub(super) fn read_kept(kept: &KeptState) -> Option<Kept> {
    let file = kept.file();
    let file = file.display();
    match kept.read() {
        Ok(found) => {
            tracing::info!(%file, found = found.is_some(), "looked for a snapshot that was kept on disk");
            found
        }
        Err(error) => {
            tracing::error!(%file, %error, "the snapshot on disk is ignored");
            None
        }
    }
}

/// Creates the admin that the settings name, where there is no user at all. Its password is judged only then, so that
/// settings from the first day do no harm later.
pub(super) async fn first_admin(
    store: &Store,
    accounts: &Accounts,
    settings: &Settings,
) -> Result<(), StartError> {
    let Some(email) = &settings.bootstrap_admin_email else { return Ok(()) };
    let any = store.users(UserFilter::default(), PageRequest { after: None, limit: 1 }).await?;
    if !any.items.is_empty() {
        return Ok(());
    }
    let Some(password) = settings.bootstrap_admin_password.clone() else {
        let missing = "LEVEE_BOOTSTRAP_ADMIN_PASSWORD_FILE: must be given with LEVEE_BOOTSTRAP_ADMIN_EMAIL";
        return Err(StartError::Configuration(vec![missing.to_owned()]));
    };
    match accounts.create_first(email, password).await {
        Ok(Some(admin)) => {
            tracing::info!(email = %admin.email, "the first admin was created");
            Ok(())
        }
        // Another replica was faster.
        Ok(None) => Ok(()),
        Err(failure) if failure.kind() == Kind::Validation => Err(StartError::Configuration(told(&failure))),
        Err(failure) => Err(StartError::FirstAdmin(failure)),
    }
}

fn told(failure: &Failure) -> Vec<String> {
    let faults = failure.faults().iter();
    faults.map(|fault| format!("LEVEE_BOOTSTRAP_ADMIN_PASSWORD: {}", fault.detail)).collect()
}
