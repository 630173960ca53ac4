//! What a set of upstreams keeps of the one before it, and which operation a call belongs to.

use tokio_util::task::TaskTracker;

use super::*;
use crate::gateway::breaker::Mode;
use crate::identity::ring::KeyRing;
use crate::models::document::{Rules, read_documents};
use crate::telemetry::metrics::{Format, Readings};

fn upstream(name: &str, more: &str) -> Upstream {
    let text = format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: {name} }}\n\
         spec: {{ url: 'https://{name}.example'{more} }}\n"
    );
    let mut faults = Vec::new();
    let upstreams = read_documents("test", &text, &Rules::default(), &mut faults);
    upstreams.into_iter().next().unwrap_or_else(|| panic!("{faults:?}"))
}

#[test]
fn a_set_that_cannot_be_built_changes_nothing_that_lives() {
    let around = Surroundings {
        network: Network::new(Vec::new(), Vec::new(), TaskTracker::new()),
        metrics: Arc::new(Metrics::new("0", "0")),
        fleet: Fleet::alone(),
        cache: Arc::new(HttpCache::new(1024)),
    };
    let authority = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
    let trusting = |name: &str, more: &str, ca: &str| {
        let mut upstream = upstream(name, more);
        upstream.tls.ca = Some(ca.to_owned());
        upstream
    };
    let ring = KeyRing::parse(&KeyRing::generate("k1")).unwrap();
    let vault = Vault::new(&ring, &[]);
    let compile = |set, before: &Snapshot| Snapshot::compile(1, set, &vault, before, &around);
    let good = compile(vec![trusting("a", "", &authority)], &Snapshot::default()).unwrap();
    let edited = || trusting("a", ", breaker: { mode: metrics_only }", &authority);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let bad = vec![edited(), trusting("new", "", &authority), trusting("z", "", broken)];
    assert_eq!(compile(bad, &good).err().unwrap().name, "z");
    let mode = || good.get("a").unwrap().lanes[0].breaker.view().mode;
    assert_eq!(mode(), Mode::Auto);
    assert!(!around.metrics.render(Format::Prometheus, &Readings::default()).contains("upstream=\"new\""));
    compile(vec![edited()], &good).unwrap();
    assert_eq!(mode(), Mode::MetricsOnly, "the breaker is the same one");
}

#[test]
fn templates_match_whole_segments_of_raw_bytes() {
    let quote = [Segment::Literal("quotes".into()), Segment::Any];
    for (path, expected) in [
        ("/quotes/1", true),
        ("/quotes/a%2Fb", true),
        ("/quotes/", false),
        ("/quotes", false),
        ("/quotes/1/x", false),
        ("/Quotes/1", false),
    ] {
        assert_eq!(matches_template(&quote, path), expected, "{path}");
    }
    let rest = [Segment::Literal("v".into()), Segment::Rest];
    assert!(
        matches_template(&rest, "/v") && matches_template(&rest, "/v/a/b") && !matches_template(&rest, "/w")
    );
    for (path, expected) in [("/", true), ("", true), ("//", false), ("/x", false)] {
        assert_eq!(matches_template(&[], path), expected, "{path:?}");
    }
}
