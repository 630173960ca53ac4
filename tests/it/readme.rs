//! What README.md and the pages beside it claim, held against the program.
//!
//! Commands, flags, variables, links and the headers of pasted answers are checked; prose is for people.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use claims::{Known, faults};

use crate::support::client;
use crate::support::levee::{TestApp, levee};
use crate::support::misbehaving::{Misbehaving, Reply};

/// The checker is tested on pages made for the purpose.
mod checker;
/// Reads the claims of a page and judges them.
mod claims;
/// Markdown, as far as the claims go.
mod markdown;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn help(arguments: &[&str]) -> String {
    let output = levee().args(arguments).arg("--help").output().unwrap();
    assert!(output.status.success(), "levee {arguments:?} --help");
    String::from_utf8(output.stdout).unwrap()
}

/// Words of a help text that begin like this.
fn words(help: &str, beginning: &str) -> BTreeSet<String> {
    let part = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    let words = help.split(|character| !part(character)).filter(|word| word.starts_with(beginning));
    words.map(str::to_owned).collect()
}

/// The names below `Commands:` of a help text.
fn listed(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names =
        list.take_while(|line| line.starts_with("  ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The commands that the help lists, each with its flags and those of what it is divided into.
fn commands() -> Vec<(String, BTreeSet<String>)> {
    let names = listed(&help(&[]));
    assert!(names.len() >= 5, "{names:?}");
    let flags = |name: &str| {
        let own = help(&[name]);
        let parts = listed(&own).into_iter().map(|part| words(&help(&[name, &part]), "--"));
        parts.fold(words(&own, "--"), |all, more| all.union(&more).cloned().collect())
    };
    names.into_iter().map(|name| (name.clone(), flags(&name))).collect()
}

/// Header names of answers that the tour and the commonest situations bring forth, lower case.
async fn headers_sent() -> BTreeSet<String> {
    let server = Misbehaving::start().await;
    let kept = Reply::ok("kept").header("Cache-Control", "max-age=60").header("Content-Type", "text/plain");
    server.script(
        "/kept",
        [kept.header("Date", &httpdate::fmt_http_date(std::time::SystemTime::now())).into()],
    );
    let app = TestApp::start(format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: plain }}\nspec:\n  url: {0}\n\
         ---\napiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: flaky }}\nspec:\n  url: {0}\n  \
         retry: {{ attempts: 1 }}\n  breaker: {{ minimumCalls: 1 }}\n  \
         fallback: [{{ static: {{ status: 200, headers: {{ content-type: text/plain }}, body: x }} }}]\n",
        server.url()
    ))
    .await;
    let mut names = BTreeSet::new();
    let data = [
        "plain/kept",
        "plain/kept",
        "plain/status/503",
        "plain/reset",
        "nobody/x",
        "flaky/reset",
        "flaky/ok",
    ];
    for path in data {
        let answer = app.get(&format!("/proxy/{path}")).await;
        names.extend(answer.headers.keys().map(|name| name.as_str().to_owned()));
    }
    for _ in 0..30 {
        let answer = app.get("/proxy/plain/reset").await;
        names.extend(answer.headers.keys().map(|name| name.as_str().to_owned()));
    }
    for (port, path) in [(app.api, "/api/v1/breakers"), (app.api, "/nowhere"), (app.ops, "/readyz")] {
        names.extend(client::get(port, path).await.headers.keys().map(|name| name.as_str().to_owned()));
    }
    names
}

async fn known() -> Known {
    let (serve, dev) = (help(&["serve"]), help(&["dev"]));
    let mut commands = commands();
    commands.push((String::new(), words(&help(&[]), "--")));
    let variables = words(&serve, "LEVEE_");
    assert_eq!(variables, words(&dev, "LEVEE_"));
    Known { commands, variables, headers: headers_sent().await }
}

/// Every page of the repository: those at its root and all below `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![repository().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let below_docs = path.starts_with(repository().join("docs"));
            if path.is_dir() && (below_docs || path.ends_with("docs")) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

#[tokio::test]
async fn the_readme_and_the_pages_beside_it_claim_nothing_that_is_not_so() {
    let readme = repository().join("README.md");
    assert!(readme.exists(), "there is no README.md");
    let known = known().await;
    let mut found = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(repository()).unwrap().display().to_string();
        let judged = faults(&text, page.parent().unwrap(), &known, page == readme);
        found.extend(judged.into_iter().map(|fault| format!("{name}:{fault}")));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
