//! `levee serve`: refuses with every fault before anything is bound, and runs with what it is given.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{BAD_USAGE, command, document, ended, folder, run, write};
use crate::support::client;
use crate::support::process::Process;

const SOON: Duration = Duration::from_secs(20);

const PORTS: [&str; 6] =
    ["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];

/// What production cannot do without.
const NEEDED: [(&str, &str); 2] = [
    ("LEVEE_DATABASE_URL", "sqlite://levee.db"),
    ("LEVEE_SECRET_KEYS", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
];

fn with_upstreams() -> TempDir {
    let folder = folder();
    write(&folder, "upstreams.yaml", &document("rates", "  url: https://api.example.com/v1\n"));
    folder
}

/// Starts it, and waits for the line that says where it listens.
async fn started(
    folder: &TempDir,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Process, serde_json::Value) {
    let mut migrate = command(folder, &["migrate"]);
    let (code, _, error) = ended(&migrate.envs(NEEDED).output().unwrap());
    assert_eq!(code, 0, "{error}");
    let mut command = command(folder, &[&["serve", "--upstreams", "upstreams.yaml"], arguments].concat());
    command.envs(NEEDED).envs(environment.iter().copied()).env("LEVEE_LOG_FORMAT", "json");
    let mut process = Process::start("levee", command);
    let ready = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).ok().filter(|line| line["message"] == "ready")
    };
    let line = process.logged(SOON, ready).await;
    (process, line)
}

async fn stops(process: &mut Process) {
    process.signal(Signal::TERM);
    assert_eq!(process.wait_exit(SOON).await.code(), Some(0));
}

fn address(line: &serde_json::Value, name: &str) -> SocketAddr {
    line[name].as_str().unwrap().parse().unwrap()
}

#[test]
fn it_says_what_it_cannot_do_without() {
    let (code, out, error) = run(&with_upstreams(), &["serve", "--upstreams", "upstreams.yaml"]);
    assert_eq!((code, out.as_str()), (BAD_USAGE, ""));
    assert!(
        error.contains("LEVEE_DATABASE_URL")
            && error.contains("LEVEE_SECRET_KEYS")
            && error.contains("openssl"),
        "{error}"
    );
}

#[tokio::test]
async fn it_runs_and_lets_nobody_in_who_proves_nothing() {
    let folder = with_upstreams();
    let (mut process, line) = started(&folder, &PORTS, &[("LEVEE_DRAIN_DELAY", "0s")]).await;
    assert_eq!(client::get(address(&line, "ops"), "/readyz").await.status, 200);
    for (port, path) in [("data", "/proxy/rates/x"), ("data", "/proxy/nobody/x"), ("api", "/api/v1/breakers")]
    {
        let refused = client::get(address(&line, port), path).await;
        let problem = refused.json()["type"].as_str().map(str::to_owned);
        let unauthorized = Some("https://levee.dev/problems/unauthorized".to_owned());
        assert_eq!((refused.status.as_u16(), problem), (401, unauthorized), "{path}");
        assert!(refused.headers.contains_key("www-authenticate"), "{path}");
    }
    assert_eq!(client::get(address(&line, "api"), "/api/v1/health").await.status, 200);
    stops(&mut process).await;
}

#[test]
fn every_fault_is_listed_whatever_its_source_and_nothing_is_bound() {
    let folder = folder();
    write(&folder, "levee.yaml", "drainDelay: soon\nlogFormat: xml\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = taken.local_addr().unwrap().to_string();
    let arguments =
        ["serve", "--config", "levee.yaml", "--listen", &here, "--ops-listen", "9464", "--cors-origins", "*"];
    let mut command = command(&folder, &arguments);
    let (code, out, error) = ended(
        &command
            .env("LEVEE_API_LISTEN", "localhost")
            .env("LEVEE_ALLOWED_CIDRS", "10.0.0.0/33")
            .output()
            .unwrap(),
    );
    assert_eq!((code, out.as_str()), (BAD_USAGE, ""), "{error}");
    for part in [
        "levee.yaml:1: drainDelay: ",
        "levee.yaml:2: logFormat: ",
        "LEVEE_API_LISTEN",
        "LEVEE_OPS_LISTEN",
        "LEVEE_ALLOWED_CIDRS",
        "LEVEE_CORS_ORIGINS",
    ] {
        assert!(error.contains(part), "no {part:?} in\n{error}");
    }
    assert!(!error.contains(&here), "a port was tried before the settings were good: {error}");
}

#[test]
fn a_file_of_a_bad_form_hides_no_other_fault() {
    let folder = folder();
    write(&folder, "levee.yaml", "drainDelai: 3s\nlogFormat: xml\n");
    let (code, _, error) = run(&folder, &["serve", "--config", "levee.yaml", "--listen", "8080"]);
    assert_eq!(code, BAD_USAGE);
    for part in [
        "levee.yaml:1: drainDelai: unknown field; did you mean `drainDelay`?",
        "levee.yaml:2: logFormat",
        "LEVEE_LISTEN",
    ] {
        assert!(error.contains(part), "no {part:?} in\n{error}");
    }
}

#[test]
fn bad_upstream_documents_are_listed_as_check_lists_them() {
    let folder = folder();
    write(&folder, "upstreams.yaml", &document("rates", "  urk: x\n  timeout: { totl: 3s }\n"));
    let (_, checked, _) = run(&folder, &["check", "upstreams.yaml"]);
    let mut command = command(&folder, &[&["serve", "--upstreams", "upstreams.yaml"], &PORTS[..]].concat());
    let (code, _, error) = ended(&command.envs(NEEDED).output().unwrap());
    assert_eq!(code, BAD_USAGE);
    assert!(checked.lines().count() >= 3, "{checked}");
    for line in checked.lines() {
        assert!(error.contains(line), "no {line:?} in\n{error}");
    }
}

/// The drain's delay shows which one won: the first line of the drain says it.
#[tokio::test]
async fn flags_are_stronger_than_the_environment_and_that_than_the_file() {
    let folder = with_upstreams();
    write(&folder, "levee.yaml", "drainDelay: 11ms\ndrainTimeout: 21s\nlog: info\n");
    let config = [&["--config", "levee.yaml"], &PORTS[..]].concat();
    let flag = [&config[..], &["--drain-delay", "13ms"]].concat();
    let variable = [("LEVEE_DRAIN_DELAY", "12ms")];
    for (arguments, environment, expected) in
        [(&config, &[][..], "11ms"), (&config, &variable[..], "12ms"), (&flag, &variable[..], "13ms")]
    {
        let (mut process, _) = started(&folder, arguments, environment).await;
        stops(&mut process).await;
        let log = process.log();
        let draining = log.iter().find(|line| line.contains("\"draining\"")).unwrap();
        assert!(draining.contains(&format!("\"delay\":\"{expected}\"")), "{expected}: {draining}");
        assert!(draining.contains("\"timeout\":\"21s\""), "{draining}");
    }
}

#[tokio::test]
async fn a_misspelt_variable_is_told_and_others_are_let_be() {
    let folder = with_upstreams();
    let odd = [("LEVEE_LISTN", "x"), ("LEVEE_PORT_8080_TCP", "tcp://x"), ("LEVEE_UPSTREAM", "y")];
    let (mut process, _) = started(&folder, &[&PORTS[..], &["--drain-delay", "0s"]].concat(), &odd).await;
    stops(&mut process).await;
    let log = process.log();
    for (wrong, right) in [("LEVEE_LISTN", "LEVEE_LISTEN"), ("LEVEE_UPSTREAM", "LEVEE_UPSTREAMS")] {
        let told = format!("{wrong} is not a setting; did you mean {right}?");
        assert!(log.iter().any(|line| line.contains(&told) && line.contains("WARN")), "{told}: {log:#?}");
    }
    assert!(!log.iter().any(|line| line.contains("LEVEE_PORT")), "{log:#?}");
}

#[test]
fn an_address_in_use_is_named_with_its_setting() {
    let folder = with_upstreams();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = taken.local_addr().unwrap().to_string();
    for (at, setting) in [(1, "LEVEE_LISTEN"), (3, "LEVEE_API_LISTEN"), (5, "LEVEE_OPS_LISTEN")] {
        let mut ports = PORTS;
        ports[at] = &here;
        let mut command =
            command(&folder, &[&["serve", "--upstreams", "upstreams.yaml"], &ports[..]].concat());
        let (code, _, error) = ended(&command.envs(NEEDED).output().unwrap());
        assert_eq!(code, 1, "{error}");
        assert!(error.contains(&here) && error.contains(setting), "{error}");
    }
}
