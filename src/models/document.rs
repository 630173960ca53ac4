//! Upstream documents: YAML text in, `policy::Upstream` values out, every fault named by line and field.
//!
//! The fields and their defaults are those of the policy table in the documentation. Defaults bend to what is
//! given; what is given and contradicts is refused.

use std::sync::Arc;

use ipnet::IpNet;

use super::decode::{Fields, Object, Place};
use super::fault::Fault;
use super::node;
use super::policy::{Tls, Upstream};

mod access;
mod base_url;
mod breaker;
mod cache;
mod concurrency;
mod credentials;
mod fallback;
mod given;
mod headers;
mod location;
mod network;
mod operation;
mod path_template;
mod quota;
mod retry;
/// The document's fields in the terms of OpenAPI and of Kubernetes.
pub mod schema;
mod settings;
mod timeout;
mod together;

pub use super::node::json::pointer_of;
pub use given::{API, read_given, read_resource};
pub use together::{Circle, check_together, circles};

/// What a deployment lets documents do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The private ranges upstreams may ever be in.
    pub allowed_cidrs: Vec<IpNet>,
    /// Who may call an upstream whose document does not say.
    pub unsaid_access: Unsaid,
}

/// What a document without `access.allow` means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unsaid {
    /// Nobody may call.
    #[default]
    Nobody,
    /// Anybody may, proved or not: for development.
    Anybody,
}

/// Where a document lives, which decides what of a cluster it may name.
#[derive(Debug, Clone, Copy)]
enum Home<'a> {
    /// A file, or the API.
    Outside,
    /// A namespace of the cluster.
    Namespace(&'a str),
}

impl Home<'_> {
    /// A field that is there for custom resources only.
    fn if_in_cluster(self, field: &str) -> Option<&str> {
        matches!(self, Self::Namespace(_)).then_some(field)
    }
}

const API_VERSION: &str = "levee.dev/v1alpha1";

const DOCUMENT: Fields = Fields::all(&["apiVersion", "kind", "metadata", "spec"]);

const METADATA: Fields = Fields {
    known: &["name"],
    unbuilt: &[
        ("namespace", "only custom resources have one"),
        ("labels", "only custom resources have them"),
        ("annotations", "only custom resources have them"),
    ],
};

const SPEC: Fields = Fields {
    known: &[
        "url",
        "owner",
        "timeout",
        "retry",
        "breaker",
        "concurrency",
        "quota",
        "cache",
        "fallback",
        "fallbackOn",
        "fallbackStatuses",
        "headers",
        "limits",
        "network",
        "tls",
        "access",
        "credentials",
        "operations",
    ],
    unbuilt: &[
        ("hedge", settings::HEDGE),
        ("faults", settings::FAULTS),
        ("egressProxy", "upstreams are dialled directly"),
        ("service", "only custom resources can name a service of the cluster"),
    ],
};

/// Reads the documents of one file, called `file` in messages.
///
/// Faults are added to `faults` in the order of their lines; only documents without any are returned.
pub fn read_documents(file: &str, text: &str, rules: &Rules, faults: &mut Vec<Fault>) -> Vec<Upstream> {
    let mut upstreams = Vec::new();
    for node::Document { root, report } in node::parse(file, text) {
        let (name, upstream) =
            root.as_ref().map_or((None, None), |root| document(&Place::root(&report, root), rules));
        let found = report.into_faults(name.as_deref());
        if found.is_empty() {
            upstreams.extend(upstream);
        }
        faults.extend(found);
    }
    upstreams
}

/// The name of a document, if it has one, and what it describes, as far as that could be read.
fn document(place: &Place, rules: &Rules) -> (Option<String>, Option<Upstream>) {
    let Some(document) = place.object(DOCUMENT) else { return (None, None) };
    document.required("apiVersion", |place| place.choice(&[(API_VERSION, ())]));
    document.required("kind", |place| place.choice(&[("Upstream", ())]));
    let metadata = document.required("metadata", |place| place.object(METADATA));
    let name = metadata.and_then(|metadata| metadata.required("name", upstream_name));
    let spec = document.required("spec", |place| place.object(SPEC));
    let given = document.get("spec").map(|place| place.json()).unwrap_or_default();
    let described = spec.and_then(|spec| specification(&spec, given, place.origin(), rules, Home::Outside));
    let upstream = name.clone().zip(described).map(|(name, described)| Upstream { name, ..described });
    (name, upstream)
}

/// Everything but the name, so that a bad name hides no other fault.
fn specification(
    spec: &Object,
    given: serde_json::Value,
    origin: String,
    rules: &Rules,
    home: Home<'_>,
) -> Option<Upstream> {
    let allow_cidrs = network::read(spec, rules);
    let url = location::read(spec, home, &rules.allowed_cidrs, allow_cidrs.as_deref());
    let tls = spec.block("tls", network::TLS);
    let ca = tls.read("ca", network::certificates);
    let https = url.as_ref().is_none_or(|url| url.https);
    spec.contradiction("tls", &["url"], !https, || "has no effect on an http url; use https".to_owned());
    let owner = spec.read("owner", |place| place.line(128)).map(str::to_owned);
    let access = access::read(spec, rules.unsaid_access);
    let credentials = credentials::read(spec, url.as_ref(), &rules.allowed_cidrs, home);
    let (policy, operations) = operation::read_all(spec);
    let policies = std::iter::once(&policy).chain(operations.iter().map(|operation| &operation.policy));
    credentials::check_headers(spec, credentials.as_ref(), policies.map(|policy| &policy.headers));
    let (name, tls) = (String::new(), Tls { ca });
    let spec = Arc::new(given);
    Some(Upstream {
        name,
        url: url?,
        owner,
        policy,
        operations,
        allow_cidrs,
        tls,
        access,
        credentials,
        origin,
        spec,
    })
}

/// A name that fits a URL segment, a DNS label and a metric label.
fn upstream_name(place: &Place) -> Option<String> {
    let name = place.line(63)?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.bytes().all(allowed) || name.starts_with('-') || name.ends_with('-') {
        place.refuse("may have only a-z, 0-9 and `-`, with no `-` at either end");
        return None;
    }
    Some(name.to_owned())
}

#[cfg(test)]
mod tests;
