//! What `levee dev` keeps beside it, under `.levee`: a database, a key ring, and the password of an admin account.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Settings;
use crate::identity::{opaque, ring::KeyRing};
use crate::models::user::Email;

/// The admin account's address.
pub(super) const ADMIN: &str = "admin@localhost";

const FOLDER: &str = ".levee";

/// The admin account.
pub(super) struct Admin {
    /// Where its password lies, mode 0600.
    pub(super) password_file: PathBuf,
}

/// Fills in what was not given. What is made is kept, so that the next start finds it.
pub(super) fn complete(mut settings: Settings) -> Result<(Settings, Admin), Vec<String>> {
    let folder = Path::new(FOLDER);
    let fault = |error: io::Error| vec![format!("{FOLDER}: cannot be used: {error}")];
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fault)?;
    if settings.secret_keys.is_none() {
        let text = kept(&folder.join("secret-keys"), || KeyRing::generate("dev").into()).map_err(fault)?;
        settings.secret_keys = Some(KeyRing::parse(text.expose_secret())?);
    }
    if settings.database_url.is_none() {
        settings.database_url = Some(SecretString::from(format!("sqlite://{FOLDER}/levee.db")));
    }
    let password_file = folder.join("admin-password");
    if settings.bootstrap_admin_email.is_none() {
        let password = kept(&password_file, || opaque::mint().0).map_err(fault)?;
        settings.bootstrap_admin_email = Email::parse(ADMIN);
        settings.bootstrap_admin_password = Some(password);
    }
    Ok((settings, Admin { password_file }))
}

/// The secret in a file; made and written, readable by its owner only, where there is none.
fn kept(file: &Path, make: impl FnOnce() -> SecretString) -> io::Result<SecretString> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(SecretString::from(text.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = make();
            let mut created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
            created.write_all(secret.expose_secret().as_bytes())?;
            created.sync_all()?;
            Ok(secret)
        }
        Err(error) => Err(error),
    }
}
