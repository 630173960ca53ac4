//! The custom resource definition `Upstream`: the schema of documents, and what only the cluster has.

use serde_json::{Value, json};

use crate::models::document::schema;

/// The API group.
pub const GROUP: &str = "levee.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Group and version.
pub const API_VERSION: &str = "levee.dev/v1alpha1";
/// The kind.
pub const KIND: &str = "Upstream";
/// Many of them.
pub const PLURAL: &str = "upstreams";

/// A DNS label (RFC 1123): what a name of the data plane may be, and what a service is called.
const LABEL: &str = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";

/// What `levee crds` prints.
pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{PLURAL}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": { "kind": KIND, "listKind": "UpstreamList", "plural": PLURAL, "singular": "upstream" },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(),
                "schema": { "openAPIV3Schema": root() },
            }],
        },
    })
}

/// The definition as YAML.
pub fn to_yaml() -> String {
    let text = yaml_serde::to_string(&definition()).expect("a JSON value is a YAML value");
    // To kubectl and Helm, which read YAML 1.1, a bare `on` or `off` is a boolean: the field would be called `true`, and the
    // choice would be `false`.
    text.replace(" on:\n", " 'on':\n").replace("- off\n", "- 'off'\n")
}

fn columns() -> Value {
    let accepted = r#".status.conditions[?(@.type=="Accepted")].status"#;
    let ready = r#".status.conditions[?(@.type=="Ready")].status"#;
    json!([
        { "name": "URL", "type": "string", "jsonPath": ".spec.url" },
        { "name": "Breaker", "type": "string", "jsonPath": ".status.breaker" },
        { "name": "Accepted", "type": "string", "jsonPath": accepted },
        { "name": "Ready", "type": "string", "jsonPath": ready, "priority": 1 },
        { "name": "Name", "type": "string", "jsonPath": ".status.name", "priority": 1 },
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
    ])
}

fn root() -> Value {
    json!({
        "type": "object",
        "description": "A registered HTTP API that Levee calls. Calls name it by its own name in Levee's namespace, else by \
                        `namespace.name`.",
        "required": ["spec"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": {
                "type": "object",
                "properties": { "name": { "type": "string", "maxLength": 63, "pattern": LABEL } },
            },
            "spec": spec(),
            "status": status(),
        },
    })
}

/// The documents' own, with what only a custom resource can name.
fn spec() -> Value {
    let mut spec = schema::structural();
    spec["properties"]["service"] = service();
    if let Some(required) = spec["required"].as_array_mut() {
        required.retain(|field| field != "url");
    }
    if spec["required"].as_array().is_some_and(Vec::is_empty) {
        spec.as_object_mut().and_then(|spec| spec.remove("required"));
    }
    spec["description"] = json!(
        "Where the API is and how it is called. `url` or `service` must be given; every other field has a default."
    );
    spec["x-kubernetes-validations"] = json!([{
        "rule": "has(self.url) != has(self.service)",
        "message": "give exactly one of `url`, `service`",
    }]);
    spec["properties"]["credentials"]["properties"]["secretRef"] = secret_reference();
    spec["properties"]["credentials"]["description"] = json!(
        "How a secret is added to each request: exactly one of `header`, `basic` and `oauth2`. The secret is the Secret's \
         that `secretRef` names, or without that the one set with `PUT /api/v1/upstreams/{name}/credentials`."
    );
    spec
}

fn service() -> Value {
    json!({
        "type": "object",
        "description": "A service of the same namespace, in place of `url`; called over HTTP. The deployment must allow its \
                        addresses in LEVEE_ALLOWED_CIDRS.",
        "required": ["name", "port"],
        "properties": {
            "name": {
                "type": "string", "description": "Its name.", "maxLength": 63,
                "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$",
            },
            "port": {
                "type": "integer", "format": "int32", "description": "Its port.", "minimum": 1, "maximum": 65_535,
            },
        },
    })
}

fn secret_reference() -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about, "maxLength": 253, "pattern": "^[-._a-zA-Z0-9]+$" });
    json!({
        "type": "object",
        "description": "A Secret of the same namespace. Its annotations `levee.dev/origin` and `levee.dev/header` say which origins \
                        it may be sent to, and in which headers; without the second one only in `Authorization`.",
        "required": ["name", "key"],
        "properties": { "name": text("Its name."), "key": text("The entry that holds the secret.") },
    })
}

fn status() -> Value {
    let text = |about: &str, most: u32| json!({ "type": "string", "description": about, "maxLength": most });
    let generation = json!({
        "type": "integer", "format": "int64", "description": "The version of the `spec` it is about.",
    });
    let breaker = json!({
        "type": "object",
        "required": ["operation", "state", "mode"],
        "properties": {
            "operation": text("The operation; empty for the upstream's own.", 63),
            "state": text("`closed`, `open` or `half_open`.", 32),
            "mode": text("Who decides: `auto`, `forced_open`, `forced_closed` or `metrics_only`.", 32),
        },
    });
    let condition = json!({
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": text("`Accepted`, `Ready` or `Healthy`.", 316),
            "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
            "reason": text("Why, in one word.", 1_024),
            "message": text("Why, for a person.", 32_768),
            "observedGeneration": generation,
            "lastTransitionTime": { "type": "string", "format": "date-time" },
        },
    });
    json!({
        "type": "object",
        "description": "Written by Levee: what became of it. Breakers stand as the leading replica sees them.",
        "properties": {
            "observedGeneration": generation,
            "name": text("What calls name it by.", 127),
            "breaker": text("The worst of `breakers`.", 32),
            "breakers": {
                "type": "array", "items": breaker, "maxItems": 201,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["operation"],
            },
            "conditions": {
                "type": "array", "items": condition, "maxItems": 32,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
            },
        },
    })
}

#[cfg(test)]
mod tests;
