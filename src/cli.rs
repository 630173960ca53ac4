//! The command line: one file per command, and the exit codes of the contract.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::source::{Given, Setting};
use crate::config::{Mode, Settings};
use crate::telemetry::traces::TraceSettings;

mod check;
mod crds;
mod database;
pub(crate) mod dev;
mod healthcheck;
mod migrate;
mod openapi;
mod secret_files;
mod serve;
mod settings_file;
mod user;

/// Bad usage or configuration (BSD `EX_USAGE`); every problem was listed and nothing was started.
pub const BAD_USAGE: u8 = 64;

/// They are not Levee's own variables, so they are no flags.
const TRACES_HELP: &str =
    "Traces are exported by OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set; its standard siblings count, too.";

/// As `--version` shows it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("LEVEE_GIT_REVISION"), ")");

/// Calls other people's HTTP APIs so that their trouble does not become yours.
#[derive(Debug, Parser)]
#[command(name = "levee", version = VERSION, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything embedded, on this machine: a database under .levee, the built-in misbehaving upstream, the example upstreams
    Dev(dev::Arguments),
    /// Production: settings from levee.yaml, environment and flags
    Serve(ServeArguments),
    /// Bring the database to this version's schema; safe to run from several places at once
    Migrate(database::DatabaseArguments),
    /// Validate upstream files as `serve` would judge them
    Check(check::Arguments),
    /// Print the OpenAPI document
    Openapi {
        /// How to print it
        #[arg(long, value_enum, default_value_t = DocumentFormat::Yaml)]
        format: DocumentFormat,
    },
    /// Print the custom resource definitions
    Crds,
    /// Manage users with no server; passwords come from a prompt or standard input, never from an argument
    User(user::Arguments),
    /// Ask the ops port whether this process is ready
    Healthcheck {
        /// What to ask
        #[arg(long, default_value = healthcheck::DEFAULT_URL)]
        url: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DocumentFormat {
    Yaml,
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = TRACES_HELP)]
struct ServeArguments {
    #[command(flatten)]
    settings: SettingArguments,
}

/// Every setting as a flag and as an environment variable. Values stay text: `config` reads them, so that all
/// faults are reported together.
#[derive(Debug, Args)]
pub(crate) struct SettingArguments {
    /// A levee.yaml; environment and flags are stronger
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data plane [default: 0.0.0.0:8080; dev: 127.0.0.1:8080]
    #[arg(long, env = "LEVEE_LISTEN", value_name = "ADDR")]
    listen: Option<String>,
    /// Control plane [default: 0.0.0.0:8081; dev: the data plane's port]
    #[arg(long, env = "LEVEE_API_LISTEN", value_name = "ADDR")]
    api_listen: Option<String>,
    /// Health and metrics [default: 0.0.0.0:9464; dev: 127.0.0.1:9464]
    #[arg(long, env = "LEVEE_OPS_LISTEN", value_name = "ADDR")]
    ops_listen: Option<String>,
    /// Upstream documents: a file, or a folder of .yaml files; watched [dev: examples/upstreams.yaml]
    #[arg(long, env = "LEVEE_UPSTREAMS", value_name = "FILE-or-DIR")]
    upstreams: Option<String>,
    /// Private address ranges upstreams may resolve to [dev: loopback]
    #[arg(long, env = "LEVEE_ALLOWED_CIDRS", value_name = "CIDR,…")]
    allowed_cidrs: Option<String>,
    /// How long to serve on after SIGTERM before accepting ends [default: 5s; dev: 0s]
    #[arg(long, env = "LEVEE_DRAIN_DELAY", value_name = "DURATION")]
    drain_delay: Option<String>,
    /// How long calls in flight may take to finish [default: 45s]
    #[arg(long, env = "LEVEE_DRAIN_TIMEOUT", value_name = "DURATION")]
    drain_timeout: Option<String>,
    /// Log filter, e.g. info or levee=debug [default: info]
    #[arg(long, env = "LEVEE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// text or json [default: text on a terminal, else json]
    #[arg(long, env = "LEVEE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
    /// sqlite://… (one process) or postgres://…; LEVEE_DATABASE_URL_FILE names a file that holds it [dev: sqlite under .levee]
    #[arg(long, env = "LEVEE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Redis, shared by all replicas: redis://…, rediss://…, redis-cluster://…, redis-sentinel://…; LEVEE_REDIS_URL_FILE names a file that holds it
    #[arg(long, env = "LEVEE_REDIS_URL", value_name = "URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// What every key in Redis starts with [default: levee]
    #[arg(long, env = "LEVEE_REDIS_PREFIX", value_name = "PREFIX")]
    redis_prefix: Option<String>,
    /// Key ring `kid:base64 of 32 bytes[,…]`: the first encrypts, all decrypt; better LEVEE_SECRET_KEYS_FILE, a file that holds it [dev: made under .levee]
    #[arg(long, env = "LEVEE_SECRET_KEYS", value_name = "KEYS", hide_env_values = true)]
    secret_keys: Option<String>,
    /// Keeps the last good snapshot, encrypted, for a cold start without a database
    #[arg(long, env = "LEVEE_SNAPSHOT_DIR", value_name = "DIR")]
    snapshot_dir: Option<String>,
    /// The first admin, on an empty database
    #[arg(long, env = "LEVEE_BOOTSTRAP_ADMIN_EMAIL", value_name = "EMAIL")]
    bootstrap_admin_email: Option<String>,
    /// Its password; better LEVEE_BOOTSTRAP_ADMIN_PASSWORD_FILE, a file that holds it
    #[arg(long, env = "LEVEE_BOOTSTRAP_ADMIN_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    bootstrap_admin_password: Option<String>,
    /// Proxies in front of the control plane whose X-Forwarded-For is believed
    #[arg(long, env = "LEVEE_TRUSTED_PROXIES", value_name = "CIDR,…")]
    trusted_proxies: Option<String>,
    /// Origins whose web pages may use the API
    #[arg(long, env = "LEVEE_CORS_ORIGINS", value_name = "ORIGIN,…")]
    cors_origins: Option<String>,
    /// on: watch Upstreams of a Kubernetes cluster, the one around this process or KUBECONFIG's, and take the tokens of its
    /// service accounts [default: off]
    #[arg(long, env = "LEVEE_KUBERNETES", value_name = "on|off")]
    kubernetes: Option<String>,
    /// Namespaces whose Upstreams count [default: all]
    #[arg(long, env = "LEVEE_KUBERNETES_NAMESPACES", value_name = "NAME,…")]
    kubernetes_namespaces: Option<String>,
    /// Namespaces whose Secrets an Upstream's secretRef may name, beside Levee's own
    #[arg(long, env = "LEVEE_KUBERNETES_SECRET_NAMESPACES", value_name = "NAME,…")]
    kubernetes_secret_namespaces: Option<String>,
}

impl SettingArguments {
    /// Reads `levee.yaml` where one is named and puts environment and flags over it.
    fn resolve(&self, mode: Mode) -> Result<Settings, Vec<String>> {
        let mut given = Given::default();
        let mut faults =
            self.config.as_ref().map_or_else(Vec::new, |file| settings_file::read(file, &mut given));
        faults.extend(secret_files::read(&mut given));
        let merged = [
            (Setting::Listen, &self.listen),
            (Setting::ApiListen, &self.api_listen),
            (Setting::OpsListen, &self.ops_listen),
            (Setting::Upstreams, &self.upstreams),
            (Setting::AllowedCidrs, &self.allowed_cidrs),
            (Setting::DrainDelay, &self.drain_delay),
            (Setting::DrainTimeout, &self.drain_timeout),
            (Setting::Log, &self.log),
            (Setting::LogFormat, &self.log_format),
            (Setting::DatabaseUrl, &self.database_url),
            (Setting::RedisUrl, &self.redis_url),
            (Setting::RedisPrefix, &self.redis_prefix),
            (Setting::SecretKeys, &self.secret_keys),
            (Setting::SnapshotDir, &self.snapshot_dir),
            (Setting::BootstrapAdminEmail, &self.bootstrap_admin_email),
            (Setting::BootstrapAdminPassword, &self.bootstrap_admin_password),
            (Setting::TrustedProxies, &self.trusted_proxies),
            (Setting::CorsOrigins, &self.cors_origins),
            (Setting::Kubernetes, &self.kubernetes),
            (Setting::KubernetesNamespaces, &self.kubernetes_namespaces),
            (Setting::KubernetesSecretNamespaces, &self.kubernetes_secret_namespaces),
        ];
        for (setting, text) in merged {
            // An empty variable is how Helm and compose files say "not set".
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                given.add(setting, text, format!("{} (or its flag)", setting.variable()));
            }
        }
        let traces = TraceSettings::read(|name| std::env::var(name).ok());
        let traces = traces.map_err(|found| faults.extend(found)).ok().flatten();
        resolve(mode, &given, faults).map(|settings| Settings { traces, ..settings })
    }
}

/// The settings, unless `faults` were found already; those of form and those of meaning are told together.
fn resolve(mode: Mode, given: &Given, mut faults: Vec<String>) -> Result<Settings, Vec<String>> {
    match Settings::resolve(mode, given) {
        Ok(settings) if faults.is_empty() => Ok(settings),
        resolved => {
            faults.extend(resolved.err().into_iter().flatten());
            Err(faults)
        }
    }
}

/// Runs the command that the arguments name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match arguments.command {
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments.settings),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Openapi { format } => openapi::run(format),
        Command::Crds => crds::run(),
        Command::User(arguments) => user::run(arguments),
        Command::Healthcheck { url } => healthcheck::run(&url),
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    // Printing can only fail when nobody listens.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(BAD_USAGE) } else { ExitCode::SUCCESS }
}

/// Lists what is wrong and answers with the exit code for it.
#[expect(clippy::print_stderr, reason = "the command line speaks to a person")]
fn refused(faults: &[String]) -> ExitCode {
    for fault in faults {
        eprintln!("levee: {fault}");
    }
    ExitCode::from(BAD_USAGE)
}
