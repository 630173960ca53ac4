//! `levee openapi` and `levee crds` print what is committed; `levee healthcheck` asks the ops port.

use std::path::Path;

use rustix::process::Signal;

use super::{folder, run};
use crate::support::client;
use crate::support::levee::TestApp;
use crate::support::ports::ClosedPort;
use crate::support::until::until;

#[test]
fn the_printed_document_is_the_committed_one() {
    let committed = |name: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(name)).unwrap()
    };
    for (arguments, file) in [
        (&["openapi"][..], "levee.yaml"),
        (&["openapi", "--format", "yaml"], "levee.yaml"),
        (&["openapi", "--format", "json"], "levee.json"),
        (&["crds"], "upstream.crd.yaml"),
    ] {
        let (code, out, error) = run(&folder(), arguments);
        assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}");
        assert!(out == committed(file), "openapi/{file} is out of date: run make update");
    }
}

#[tokio::test]
async fn a_health_check_tells_ready_from_draining_and_from_nobody() {
    let setup = TestApp::with("").env("LEVEE_DRAIN_DELAY", "30s");
    let app = setup.start().await;
    let probe = |path: &str| {
        let url = format!("http://{}{path}", app.ops);
        tokio::task::spawn_blocking(move || run(&folder(), &["healthcheck", "--url", &url]))
    };
    assert_eq!(probe("/readyz").await.unwrap(), (0, String::new(), String::new()));
    app.signal(Signal::TERM);
    until("it is no longer ready", std::time::Duration::from_secs(20), async || {
        client::get(app.ops, "/readyz").await.status == 503
    })
    .await;
    let (code, _, error) = probe("/readyz").await.unwrap();
    assert!(code == 1 && error.contains("503") && error.contains("draining"), "{error}");
    assert_eq!(probe("/livez").await.unwrap().0, 0);

    let nobody = ClosedPort::take();
    let url = format!("http://{}/readyz", nobody.address);
    let (code, _, error) = run(&folder(), &["healthcheck", "--url", &url]);
    assert!(code == 1 && error.contains(&url), "{error}");
}
