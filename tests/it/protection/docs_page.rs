//! The pages for people, in a real browser that reaches nothing but this machine.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::client;
use crate::support::levee::TestApp;
use crate::support::process::Process;
use crate::support::watchdog::Watchdog;

/// What a browser made of a page.
struct Browsed {
    /// The page once its scripts have run.
    page: String,
    /// Every URL that the page had the browser ask for; what the browser asks for by itself is left out.
    asked: BTreeSet<String>,
    /// What stands in the console.
    console: Vec<String>,
}

async fn browse(api: SocketAddr, path: &str) -> Browsed {
    let folder = TempDir::with_prefix("levee-chromium-").unwrap();
    Watchdog::of_this_process().remove(folder.path());
    let net_log = folder.path().join("net.json");
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        // Nothing but this machine has an address.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .args(["--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--log-net-log={}", net_log.display()))
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("http://{api}{path}"))
        .env("HOME", folder.path());
    let mut browser = Process::start("chromium", command);
    assert!(browser.wait_exit(Duration::from_secs(120)).await.success());
    let log = browser.log();
    let console = log.iter().filter(|line| line.contains("CONSOLE")).cloned().collect();
    Browsed { page: log.join("\n"), asked: asked_by(&format!("http://{api}"), &net_log), console }
}

/// The URLs of requests that a page of this origin began.
fn asked_by(origin: &str, net_log: &Path) -> BTreeSet<String> {
    let log: Value = serde_json::from_slice(&fs::read(net_log).unwrap()).unwrap();
    let events = log["events"].as_array().unwrap().iter().map(|event| &event["params"]);
    let begun = events.filter(|params| params["initiator"] == origin);
    begun.map(|params| params["url"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_docs_page_shows_every_operation_and_asks_nobody_else() {
    let app = TestApp::start("").await;
    let browsed = browse(app.api, "/docs").await;
    let document = client::get(app.api, "/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 3);
    let shown = browsed.page.matches("class=\"opblock opblock-").count();
    let described: usize = paths.values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(shown, described);
    for path in paths.keys() {
        assert!(browsed.page.contains(&format!("data-path=\"{path}\"")), "{path} is not on the page");
    }
    assert_eq!(browsed.console, Vec::<String>::new());
    let files = ["docs/start.js", "docs/swagger-ui.css", "docs/swagger-ui.js", "openapi.json"];
    let own = files.map(|file| format!("http://{}/{file}", app.api));
    assert_eq!(browsed.asked, BTreeSet::from(own));
}

#[tokio::test]
async fn every_problem_type_has_its_place_on_the_problems_page() {
    let app = TestApp::start("").await;
    let browsed = browse(app.api, "/docs/problems").await;
    for slug in
        ["unauthorized", "conflict", "precondition-required", "rate-limited", "circuit-open", "internal"]
    {
        assert!(browsed.page.contains(&format!("<h2 id=\"{slug}\">")), "{slug}");
    }
    assert_eq!(browsed.console, Vec::<String>::new());
}
