//! Upstreams of a Kubernetes cluster: what they are called here, and what is known of the Secrets they name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;

/// Which object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub object: String,
}

/// As messages name it.
impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Upstream {}/{}", self.namespace, self.object)
    }
}

/// One version of an Upstream, as the API server said it.
#[derive(Debug, Clone)]
pub struct CustomResource {
    /// The object.
    pub id: ResourceId,
    /// What calls name it by: see [`name_of`].
    pub name: String,
    /// Another one after it was deleted and made again.
    pub uid: String,
    /// Rises with each change of the `spec`.
    pub generation: i64,
    /// The document.
    pub spec: Value,
    /// What `spec.credentials.secretRef` names.
    pub secret: ClusterSecret,
}

/// The Secret that an Upstream names.
#[derive(Debug, Clone)]
pub enum ClusterSecret {
    /// It names none.
    Unnamed,
    /// It could not be looked at: what was known before stays.
    Unread(String),
    /// Secrets of its namespace are not Levee's to read.
    Closed,
    /// There is no such Secret.
    Missing,
    /// The Secret has no such key, or something other than text under it.
    NoSuchKey,
    /// It is there.
    Found {
        /// What stands under the key.
        value: Arc<SecretString>,
        /// Tells one state of the Secret from the next.
        version: String,
        /// Where it may go.
        leave: Leave,
    },
}

/// Which entry of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretReference {
    /// `metadata.name`, in the Upstream's own namespace.
    pub name: String,
    /// The entry.
    pub key: String,
}

/// The annotation by which the owner of a Secret says which origins it may be sent to. Without it whoever may change
/// an Upstream could send any Secret of the namespace to a host of their own.
pub const ORIGIN_ANNOTATION: &str = "levee.dev/origin";

/// The annotation by which the owner of a Secret says which headers it may stand in; without it only `Authorization`.
/// Upstreams echo some headers (`X-Request-Id`, `Origin`): moved into one of those by whoever may change an Upstream, a
/// secret could be read in the answer to a call.
pub const HEADER_ANNOTATION: &str = "levee.dev/header";

/// Where the owner of a Secret lets it go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leave {
    /// Each as `models::policy::BaseUrl::origin` writes it: the port is always there.
    pub origins: Vec<String>,
    /// In lower case.
    pub headers: Vec<String>,
}

impl Leave {
    /// As a Secret's annotations say.
    pub fn of(annotations: &BTreeMap<String, String>) -> Self {
        let listed = |name| annotations.get(name).map_or("", String::as_str);
        let headers = annotations.get(HEADER_ANNOTATION).map_or("authorization", String::as_str);
        Self {
            origins: words(listed(ORIGIN_ANNOTATION)).map(with_port).collect(),
            headers: words(headers).map(str::to_ascii_lowercase).collect(),
        }
    }
}

/// What an object is called in the data plane: by its own name in Levee's namespace, else always with the namespace.
pub fn name_of(id: &ResourceId, own_namespace: &str) -> String {
    qualified(&id.object, &id.namespace, own_namespace)
}

/// What `name` means in a document of `namespace`.
pub fn qualified(name: &str, namespace: &str, own_namespace: &str) -> String {
    if namespace == own_namespace { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// The Secret a `spec` names, as far as that can be read.
pub fn secret_reference(spec: &Value) -> Option<SecretReference> {
    let reference = spec.get("credentials")?.get("secretRef")?;
    let text = |field: &str| reference.get(field)?.as_str().map(str::to_owned);
    Some(SecretReference { name: text("name")?, key: text("key")? })
}

fn words(annotation: &str) -> impl Iterator<Item = &str> {
    annotation.split([',', ' ', '\n']).map(str::trim).filter(|word| !word.is_empty())
}

fn with_port(origin: &str) -> String {
    let origin = origin.trim_end_matches('/').to_ascii_lowercase();
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let after_address = host.rsplit_once(']').map_or(host, |(_, after)| after);
    match (after_address.contains(':'), origin.starts_with("https://")) {
        (true, _) => origin,
        (false, true) => origin + ":443",
        (false, false) => origin + ":80",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_objects_of_levees_own_namespace_go_by_their_bare_name() {
        let id = |namespace: &str| ResourceId { namespace: namespace.into(), object: "rates".into() };
        assert_eq!(name_of(&id("levee"), "levee"), "rates");
        assert_eq!(name_of(&id("shop"), "levee"), "shop.rates");
        assert_eq!(id("shop").to_string(), "Upstream shop/rates");
    }

    #[test]
    fn an_annotation_lists_origins_with_or_without_their_port() {
        let origins = |annotation: &str| leave(&[(ORIGIN_ANNOTATION, annotation)]).origins;
        assert_eq!(
            origins("https://API.example.com, http://[::1]:81 http://a/  https://[fd00::1]"),
            ["https://api.example.com:443", "http://[::1]:81", "http://a:80", "https://[fd00::1]:443"]
        );
        assert_eq!(origins(" , "), [""; 0]);
    }

    fn leave(annotations: &[(&str, &str)]) -> Leave {
        Leave::of(&annotations.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn a_secret_that_names_no_header_may_stand_in_authorization_alone() {
        assert_eq!(leave(&[]).headers, ["authorization"]);
        assert_eq!(
            leave(&[(HEADER_ANNOTATION, "X-Api-Key, Authorization")]).headers,
            ["x-api-key", "authorization"]
        );
        assert_eq!(leave(&[(HEADER_ANNOTATION, "")]).headers, [""; 0]);
    }

    #[test]
    fn a_reference_without_name_or_key_is_none() {
        let spec = |reference: Value| json!({ "credentials": { "secretRef": reference } });
        let found = secret_reference(&spec(json!({ "name": "stripe", "key": "token" })));
        assert_eq!(found, Some(SecretReference { name: "stripe".into(), key: "token".into() }));
        assert_eq!(secret_reference(&spec(json!({ "name": "stripe" }))), None);
        assert_eq!(secret_reference(&spec(json!({ "name": 1, "key": "a" }))), None);
        assert_eq!(secret_reference(&json!({})), None);
    }
}
