//! `levee user`: manages users with no server, on the same database. Running servers learn of it within a second.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use secrecy::{ExposeSecret as _, SecretString};

use super::{refused, resolve, secret_files, settings_file};
use crate::app;
use crate::config::Mode;
use crate::config::source::{Given, Setting};
use crate::error::{Failure, Kind};
use crate::identity::password::Passwords;
use crate::models::page::PageRequest;
use crate::models::principal::{Actor, Role};
use crate::models::user::{Email, User, UserFilter};
use crate::repositories::Store;
use crate::services::users::{Accounts, Person};
use crate::telemetry::logs::{self, LogFormat};

/// Where passwords come from.
mod asking;

/// Users read at once.
const PAGE: u32 = 200;

/// What to do, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// A levee.yaml; environment and flags are stronger
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// sqlite://… (while no server runs) or postgres://…
    #[arg(long, env = "LEVEE_DATABASE_URL", value_name = "URL", hide_env_values = true, global = true)]
    database_url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a user
    Create {
        /// The address to sign in with
        #[arg(long)]
        email: String,
        /// For people to read
        #[arg(long)]
        name: String,
        /// viewer, operator or admin
        #[arg(long, value_parser = role)]
        role: Role,
        /// Read the password from standard input instead of asking for it
        #[arg(long)]
        password_stdin: bool,
    },
    /// Set a user's password, which ends every session of theirs
    SetPassword {
        /// Whose
        #[arg(long, value_parser = email)]
        email: Email,
        /// Read the password from standard input instead of asking for it
        #[arg(long)]
        password_stdin: bool,
    },
    /// List all users
    List,
    /// Shut a user out, which ends every session of theirs
    Disable {
        /// Whom
        #[arg(long, value_parser = email)]
        email: Email,
    },
}

fn role(text: &str) -> Result<Role, &'static str> {
    Role::parse(text).ok_or("it is none of viewer, operator, admin")
}

fn email(text: &str) -> Result<Email, &'static str> {
    Email::parse(text).ok_or("it is not an e-mail address")
}

/// Does it.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let (format, url) = match arguments.settings() {
        Ok(found) => found,
        Err(faults) => return refused(&faults),
    };
    if let Err(error) = logs::start("warn", format) {
        return refused(&[error.to_string()]);
    }
    // Asked for before anything is opened: a database must not wait for a person.
    let password = match arguments.action.password() {
        Ok(password) => password,
        Err(error) => return failed(&format!("no password was read: {error}")),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime cannot start: {error}")),
    };
    runtime.block_on(async {
        let opened = async {
            let store =
                Store::open(url.expose_secret(), &app::POOL).await.map_err(|error| error.to_string())?;
            store.check_schema().await.map_err(|error| error.to_string())?;
            Ok::<_, String>(store)
        };
        let store = match opened.await {
            Ok(store) => store,
            Err(error) => return failed(&error),
        };
        let done = arguments.action.run(&store, password).await;
        store.close().await;
        done.map_or_else(|failure| told(&failure), |()| ExitCode::SUCCESS)
    })
}

impl Arguments {
    /// How to log, and which database.
    fn settings(&self) -> Result<(Option<LogFormat>, SecretString), Vec<String>> {
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

impl Action {
    fn password(&self) -> std::io::Result<Option<SecretString>> {
        match self {
            Self::Create { password_stdin, .. } | Self::SetPassword { password_stdin, .. } => {
                if *password_stdin { asking::read_stdin() } else { asking::ask() }.map(Some)
            }
            Self::List | Self::Disable { .. } => Ok(None),
        }
    }

    async fn run(self, store: &Store, password: Option<SecretString>) -> Result<(), Failure> {
        let accounts = Accounts::new(store.clone(), Passwords::new());
        let actor = Actor::system("cli");
        match self {
            Self::Create { email, name, role, .. } => {
                let created = accounts.create(Person { email, name, role }, password, actor).await?.value;
                print(&created);
            }
            Self::SetPassword { email, .. } => {
                let user = accounts.find(&email).await?;
                accounts.set_password(&user, password.unwrap_or_default(), actor).await?;
            }
            Self::Disable { email } => accounts.disable(&accounts.find(&email).await?, actor).await?,
            Self::List => list(store).await?,
        }
        Ok(())
    }
}

async fn list(store: &Store) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = store.users(UserFilter::default(), PageRequest { after, limit: PAGE }).await?;
        page.items.iter().for_each(print);
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// One line a user, so that other programs can read it too.
#[expect(clippy::print_stdout, reason = "printing is what the command is for")]
fn print(user: &User) {
    let state = if user.disabled { "disabled" } else { "enabled" };
    println!("{}\t{}\t{}\t{state}\t{}", user.id, user.email, user.role.as_str(), user.name);
}

/// What was given is bad usage; anything else is not.
fn told(failure: &Failure) -> ExitCode {
    if failure.kind() == Kind::Validation {
        let lines = failure.faults().iter();
        let lines = lines.map(|fault| format!("{}: {}", fault.pointer.trim_start_matches('/'), fault.detail));
        return refused(&lines.collect::<Vec<_>>());
    }
    failed(&failure.cause().map_or_else(|| failure.message().to_owned(), ToString::to_string))
}

#[expect(clippy::print_stderr, reason = "the command line speaks to a person")]
fn failed(why: &str) -> ExitCode {
    eprintln!("levee: {why}");
    ExitCode::FAILURE
}
