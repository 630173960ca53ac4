//! What a request asks for, in the words of a Role, and its answer.

use std::time::Duration;

use http::Method;
use http::request::Parts;
use serde_json::{Value, json};

use super::store::Key;
use super::{Asked, Shared, State};

/// How a request is answered.
pub(super) enum Answer {
    Whole(u16, Value),
    Watch(Filter),
}

/// What a watch takes.
pub(super) struct Filter {
    resource: String,
    namespace: String,
    name: String,
    pub(super) version: u64,
    pub(super) bookmarks: bool,
    pub(super) lasts: Duration,
}

impl Filter {
    pub(super) fn takes(&self, key: &Key) -> bool {
        key.resource == self.resource
            && (self.namespace.is_empty() || self.namespace == key.namespace)
            && (self.name.is_empty() || self.name == key.name)
    }
}

/// A failure as the API server tells it.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn refused(code: u16, reason: &str, message: &str) -> Answer {
    Answer::Whole(code, status(code, reason, message))
}

pub(super) fn answer(head: &Parts, body: Value, shared: &Shared) -> Answer {
    let query = Query::of(head);
    let Some(asked) = asked(head, &query) else { return refused(404, "NotFound", "no such path") };
    let mut state = shared.state.lock().unwrap();
    state.asked.push(asked.clone());
    if state.faults.forbidden.contains(&asked.resource) {
        let message = format!("{} is forbidden: cannot {} resource", asked.resource, asked.verb);
        return refused(403, "Forbidden", &message);
    }
    let answer = answered(&asked, &query, body, &mut state);
    shared.versions.send_replace(state.store.version());
    answer
}

/// The verb is the one that rights are given for.
fn asked(head: &Parts, query: &Query) -> Option<Asked> {
    let pieces: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    let (group, rest) = match pieces[..] {
        ["api", "v1", ref rest @ ..] => ("", rest),
        ["apis", group, _, ref rest @ ..] => (group, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (resource, name, sub) = match rest {
        [resource] => (*resource, "", None),
        [resource, name] => (*resource, *name, None),
        [resource, name, sub] => (*resource, *name, Some(*sub)),
        _ => return None,
    };
    let verb = match (&head.method, name.is_empty()) {
        (&Method::GET, true) if query.get("watch") == "true" => "watch",
        (&Method::GET, true) => "list",
        (&Method::GET, false) => "get",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, _) => "delete",
        _ => return None,
    };
    Some(Asked {
        verb,
        group: group.to_owned(),
        resource: sub.map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}")),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        fields: query.get("fieldSelector"),
    })
}

fn answered(asked: &Asked, query: &Query, body: Value, state: &mut State) -> Answer {
    let resource = asked.resource.split('/').next().unwrap_or_default();
    let key = Key::of(resource, &asked.namespace, &asked.name);
    let name = asked.fields.strip_prefix("metadata.name=").unwrap_or_default();
    let store = &mut state.store;
    match asked.verb {
        "watch" => Answer::Watch(Filter {
            resource: resource.to_owned(),
            namespace: asked.namespace.clone(),
            name: name.to_owned(),
            version: query.get("resourceVersion").parse().unwrap_or(0),
            bookmarks: query.get("allowWatchBookmarks") == "true",
            lasts: Duration::from_secs(query.get("timeoutSeconds").parse().unwrap_or(60)),
        }),
        "list" => {
            let namespace = Some(asked.namespace.as_str()).filter(|namespace| !namespace.is_empty());
            let named = |object: &&Value| name.is_empty() || object["metadata"]["name"] == name;
            let all: Vec<Value> = store.all(resource, namespace).filter(named).cloned().collect();
            Answer::Whole(200, page(&all, query, store.version()))
        }
        "get" => store.get(&key).map_or_else(|| not_found(asked), |found| Answer::Whole(200, found.clone())),
        "create" => {
            let name = body["metadata"]["name"].as_str().unwrap_or_default();
            let key = Key { name: name.to_owned(), ..key };
            if store.get(&key).is_some() {
                return refused(409, "AlreadyExists", "it exists already");
            }
            store.apply(key.clone(), body);
            Answer::Whole(201, store.get(&key).cloned().unwrap_or_default())
        }
        "update" => {
            let Some(found) = store.get(&key) else { return not_found(asked) };
            if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
                return refused(409, "Conflict", "the object has been modified");
            }
            store.apply(key.clone(), body);
            Answer::Whole(200, store.get(&key).cloned().unwrap_or_default())
        }
        "delete" => {
            let Some(found) = store.get(&key).cloned() else { return not_found(asked) };
            store.delete(&key);
            Answer::Whole(200, found)
        }
        _ => {
            let patched = if asked.resource.ends_with("/status") {
                store.apply_status(&key, &query.get("fieldManager"), &body["status"])
            } else {
                store.merge(&key, &body)
            };
            patched.map_or_else(|| not_found(asked), |patched| Answer::Whole(200, patched))
        }
    }
}

/// The continue token is the number of objects that were told already.
fn page(all: &[Value], query: &Query, version: u64) -> Value {
    let begin: usize = query.get("continue").parse().unwrap_or(0);
    let limit: usize = query.get("limit").parse().unwrap_or(usize::MAX);
    let end = begin.saturating_add(limit).min(all.len());
    let more = if end < all.len() { json!(end.to_string()) } else { Value::Null };
    json!({
        "kind": "List", "apiVersion": "v1", "items": all[begin..end],
        "metadata": { "resourceVersion": version.to_string(), "continue": more },
    })
}

fn not_found(asked: &Asked) -> Answer {
    refused(404, "NotFound", &format!("{} \"{}\" not found", asked.resource, asked.name))
}

struct Query(Vec<(String, String)>);

impl Query {
    fn of(head: &Parts) -> Self {
        let pairs = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self(
            pairs
                .map(|(name, value)| (name.to_owned(), value.replace("%3D", "=").replace("%2F", "/")))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> String {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }
}
