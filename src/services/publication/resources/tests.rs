//! Custom resources among the other sources, and the last good version of each.

use serde_json::json;

use super::super::merge::{Documents, Merged, ResourceReport, Source};
use super::*;
use crate::models::custom_resource::name_of;
use crate::models::registration::{Registration, Stored};

fn ring() -> KeyRing {
    KeyRing::parse(&KeyRing::generate("k1")).unwrap()
}

fn id(object: &str) -> ResourceId {
    let (namespace, object) = object.split_once('/').unwrap_or(("levee", object));
    ResourceId { namespace: namespace.into(), object: object.into() }
}

fn resource(object: &str, generation: i64, spec: Value) -> CustomResource {
    let id = id(object);
    let name = name_of(&id, "levee");
    CustomResource { id, name, uid: "one".into(), generation, spec, secret: ClusterSecret::Unnamed }
}

fn plain() -> Value {
    json!({ "url": "https://api.example.com" })
}

fn falling_back_to(name: &str) -> Value {
    json!({ "url": "https://api.example.com", "fallback": [{ "upstream": { "name": name } }] })
}

fn file(name: &str, spec: &Value) -> Upstream {
    let origin = "upstreams.yaml:7".to_owned();
    Upstream { origin, ..document::read_given(name, spec, &Rules::default()).unwrap() }
}

/// What the publisher does, without a gateway.
#[derive(Default)]
struct Door {
    resources: Resources,
    files: Vec<Upstream>,
    stored: Vec<Registration>,
}

impl Door {
    fn publish(&mut self, resources: Vec<CustomResource>) -> Merged {
        self.resources.replace(resources, &Rules::default(), &ring());
        let mut documents = Documents::default();
        let merged =
            Merged::of(&self.resources, &self.files, &self.stored, &mut documents, &Rules::default());
        self.resources.note_good(&merged);
        merged
    }
}

fn report<'m>(merged: &'m Merged, object: &str) -> &'m ResourceReport {
    &merged.resources[&id(object)]
}

fn in_force(merged: &Merged) -> Vec<(&str, &str)> {
    merged.in_force().map(|upstream| (upstream.name.as_str(), upstream.origin.as_str())).collect()
}

#[test]
fn a_resource_counts_more_than_a_file_and_a_file_more_than_the_api() {
    let at = OffsetDateTime::UNIX_EPOCH;
    let stored = Registration {
        name: "rates".into(),
        spec: plain(),
        revision: 3,
        created: at,
        updated: at,
        updated_by: "x".into(),
    };
    let mut door = Door { files: vec![file("rates", &plain())], stored: vec![stored], ..Door::default() };
    let merged = door.publish(vec![resource("rates", 1, plain()), resource("shop/rates", 1, plain())]);
    assert_eq!(in_force(&merged), [("rates", "Upstream levee/rates"), ("shop.rates", "Upstream shop/rates")]);
    assert_eq!(report(&merged, "rates").hides.as_deref(), Some("upstreams.yaml:7"));
    assert_eq!(report(&merged, "shop/rates").hides, None);
    assert_eq!(merged.entries["rates"].registration.as_ref().unwrap().revision, 3);
    let merged = door.publish(vec![]);
    assert_eq!(in_force(&merged), [("rates", "upstreams.yaml:7")]);
}

#[test]
fn a_bad_version_is_refused_by_field_and_the_last_good_one_serves_on() {
    let mut door = Door::default();
    door.publish(vec![resource("rates", 1, plain())]);
    let merged = door.publish(vec![resource("rates", 2, json!({ "url": "ftp://a", "urk": 1 }))]);
    let refused = report(&merged, "rates");
    assert!(!refused.accepted && refused.in_force);
    assert_eq!(refused.generation, 2);
    let pointers: Vec<_> = refused.faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/spec/url", "/spec/urk"]);
    assert_eq!(*merged.entries["rates"].upstream.as_ref().unwrap().spec, plain());
    let merged = door.publish(vec![resource("rates", 3, plain())]);
    assert!(report(&merged, "rates").accepted && report(&merged, "rates").faults.is_empty());
}

#[test]
fn a_resource_that_never_was_good_hides_nothing() {
    let mut door = Door { files: vec![file("rates", &plain())], ..Door::default() };
    let merged = door.publish(vec![resource("rates", 1, json!({})), resource("other", 1, json!({}))]);
    assert_eq!(in_force(&merged), [("rates", "upstreams.yaml:7")]);
    assert!(!report(&merged, "rates").in_force && report(&merged, "rates").hides.is_none());
    assert_eq!(merged.entries["other"].source, Source::CustomResource);
}

#[test]
fn an_object_made_anew_has_no_last_good_version() {
    let mut door = Door::default();
    door.publish(vec![resource("rates", 1, plain())]);
    let anew = CustomResource { uid: "two".into(), ..resource("rates", 1, json!({})) };
    assert!(!report(&door.publish(vec![anew]), "rates").in_force);
}

#[test]
fn whoever_closes_a_circle_keeps_its_last_good_version() {
    let mut door =
        Door { files: vec![file("f", &falling_back_to("a")), file("a", &plain())], ..Door::default() };
    let first = vec![resource("a", 1, plain()), resource("b", 1, plain())];
    assert_eq!(in_force(&door.publish(first)).len(), 3);
    let merged = door.publish(vec![resource("a", 2, falling_back_to("f")), resource("b", 1, plain())]);
    let refused = report(&merged, "a");
    assert!(!refused.accepted && refused.in_force, "{refused:?}");
    assert!(refused.faults[0].detail.contains("circle"), "{refused:?}");
    assert_eq!(*merged.entries["a"].upstream.as_ref().unwrap().spec, plain());
    let mut fresh = Door { files: door.files, ..Door::default() };
    let merged = fresh.publish(vec![resource("a", 2, falling_back_to("f"))]);
    assert_eq!(merged.entries["a"].source, Source::File, "nothing earlier: what it hid serves");
    assert!(!report(&merged, "a").in_force);
}

#[test]
fn a_fallback_to_nobody_is_told_and_stays_in_force() {
    let mut door = Door::default();
    let merged = door.publish(vec![resource("shop/rates", 1, falling_back_to("backup"))]);
    let report = report(&merged, "shop/rates");
    assert!(report.accepted && report.in_force);
    assert_eq!(report.faults[0].pointer, "/spec/fallback/0/upstream/name");
    assert!(report.faults[0].detail.contains("`shop.backup`"), "{report:?}");
}

fn with_secret(generation: i64, url: &str, secret: ClusterSecret) -> CustomResource {
    let spec = json!({ "url": url, "credentials":
        { "basic": { "username": "ada" }, "secretRef": { "name": "s", "key": "k" } } });
    CustomResource { secret, ..resource("rates", generation, spec) }
}

fn found(version: &str, origin: &str) -> ClusterSecret {
    let leave = Leave { origins: vec![origin.to_owned()], headers: vec!["authorization".to_owned()] };
    ClusterSecret::Found { value: Arc::new("hush".into()), version: version.into(), leave }
}

const HERE: &str = "https://api.example.com:443";

#[test]
fn a_secret_is_sealed_once_for_each_version_and_goes_only_where_its_owner_lets_it() {
    let mut door = Door::default();
    let url = "https://api.example.com";
    let mut sealed = |secret: ClusterSecret, generation: i64, url: &str| {
        let merged = door.publish(vec![with_secret(generation, url, secret)]);
        let stored = Stored::default();
        (report(&merged, "rates").secret.clone(), merged.credentials(&stored).next().cloned())
    };
    assert_eq!(sealed(ClusterSecret::Missing, 1, url), (SecretStanding::Missing, None));
    let (standing, first) = sealed(found("7", HERE), 1, url);
    assert_eq!(standing, SecretStanding::Attached);
    assert!(first.is_some());
    assert_eq!(sealed(found("7", HERE), 1, url).1, first, "the same ciphertext");
    let away = ClusterSecret::Unread("the API server is away".into());
    assert_eq!(sealed(away.clone(), 1, url), (SecretStanding::Attached, first.clone()));
    assert_ne!(sealed(found("8", HERE), 1, url).1, first, "the secret is another one");
    let elsewhere = "https://evil.example";
    let unbound = SecretStanding::Unbound("levee.dev/origin: https://evil.example:443".to_owned());
    assert_eq!(sealed(found("8", HERE), 2, elsewhere), (unbound, None));
    assert!(matches!(sealed(away, 3, "https://evil.example"), (SecretStanding::Unread(_), None)));
}

#[test]
fn a_secret_stands_in_no_header_its_owner_has_not_named() {
    let mut door = Door::default();
    let mut standing = |generation: i64, header: &str, headers: &[&str]| {
        let headers = headers.iter().map(|name| (*name).to_owned()).collect();
        let secret = ClusterSecret::Found {
            value: Arc::new("hush".into()),
            version: "7".into(),
            leave: Leave { origins: vec![HERE.to_owned()], headers },
        };
        let spec = json!({ "url": "https://api.example.com", "credentials":
            { "header": { "name": header, "value": "{secret}" }, "secretRef": { "name": "s", "key": "k" } } });
        let merged = door.publish(vec![CustomResource { secret, ..resource("rates", generation, spec) }]);
        let sealed = merged.credentials(&Stored::default()).next().is_some();
        (report(&merged, "rates").secret.clone(), sealed)
    };
    assert_eq!(standing(1, "X-Api-Key", &["x-api-key"]), (SecretStanding::Attached, true));
    let unbound = |header: &str| SecretStanding::Unbound(format!("levee.dev/header: {header}"));
    assert_eq!(standing(2, "X-Request-Id", &["x-api-key"]), (unbound("x-request-id"), false));
    assert_eq!(standing(3, "X-Api-Key", &["authorization"]), (unbound("x-api-key"), false));
    assert_eq!(standing(3, "X-Api-Key", &["authorization", "x-api-key"]), (SecretStanding::Attached, true));
}

#[test]
fn a_sealed_secret_opens_for_its_upstream() {
    let ring = ring();
    let mut resources = Resources::default();
    resources.replace(
        vec![with_secret(1, "https://api.example.com", found("1", HERE))],
        &Rules::default(),
        &ring,
    );
    let version = resources.known[&id("rates")].read.clone().unwrap();
    let credential = version.sealed.unwrap().credential;
    let binding = credential.binding.as_str();
    assert!(binding.starts_with(HERE), "{binding}");
    let context = Context { owner: "rates", binding, field: FIELD, version: credential.version };
    let sealed = envelope::Sealed { kid: credential.kid.clone(), bytes: credential.sealed.clone() };
    let opened = envelope::open(&ring, context, &sealed).unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&opened), "hush");
}

#[test]
fn what_was_kept_begins_where_it_ended() {
    let mut door = Door::default();
    door.publish(vec![
        with_secret(1, "https://api.example.com", found("7", HERE)),
        resource("b", 4, plain()),
    ]);
    door.publish(vec![
        with_secret(1, "https://api.example.com", found("7", HERE)),
        resource("b", 5, json!({ "url": 1 })),
    ]);
    let kept = door.resources.to_keep();
    assert_eq!(kept.iter().map(|kept| kept.generation).collect::<Vec<_>>(), [4, 1]);
    let mut again = Resources::default();
    again.begin_with(&kept, &Rules::default());
    assert_eq!(again.to_keep(), kept);
    let away = ClusterSecret::Unread("away".into());
    again.replace(vec![with_secret(1, "https://api.example.com", away)], &Rules::default(), &ring());
    assert_eq!(again.to_keep()[0].sealed, kept[1].sealed, "until the Secret can be looked at");
}
