//! Which database a command works on that needs nothing else.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{resolve, secret_files, settings_file};
use crate::config::Mode;
use crate::config::source::{Given, Setting};
use crate::telemetry::logs::LogFormat;

/// The database, and the levee.yaml that may name it.
#[derive(Debug, clap::Args)]
pub(super) struct DatabaseArguments {
    /// A levee.yaml; environment and flags are stronger
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// sqlite://… (while no server runs) or postgres://…
    #[arg(long, env = "LEVEE_DATABASE_URL", value_name = "URL", hide_env_values = true, global = true)]
    database_url: Option<String>,
}

impl DatabaseArguments {
    /// How to log, and which database.
    pub(super) fn find(&self) -> Result<(Option<LogFormat>, SecretString), Vec<String>> {
        let mut given = Given::default();
        let mut faults =
            self.config.as_ref().map_or_else(Vec::new, |file| settings_file::read(file, &mut given));
        faults.extend(secret_files::read(&mut given));
        if let Some(url) = self.database_url.as_deref().filter(|url| !url.is_empty()) {
            given.add(Setting::DatabaseUrl, url, "LEVEE_DATABASE_URL (or its flag)");
        }
        let settings = resolve(Mode::Serve, &given, faults)?;
        let missing =
            || vec!["LEVEE_DATABASE_URL: must be given, as sqlite://… or as postgres://…".to_owned()];
        let url = settings.database_url.ok_or_else(missing)?;
        Ok((settings.log_format, url))
    }
}
