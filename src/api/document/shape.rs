//! Turns what poem-openapi emits (OpenAPI 3.0.0, hard-coded) into a 3.0.3 document that linters accept and generators
//! understand. Every rule stands for a generator that broke without it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Methods in the order OpenAPI lists them.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Applies every rule. The result depends on nothing but `document`.
pub(super) fn shape(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    every_object(&mut document, &mut |object| {
        unwrap_described_reference(object);
        name_portable_format(object);
        write_whole_bounds_as_integers(object);
    });
    close_request_schemas(&mut document);
    make_one_scheme(&mut document);
    for_each_operation(&mut document, |operation| {
        say_public(operation);
        say_role(operation);
        name_refusals(operation);
    });
    move_headers_to_components(&mut document);
    drop_unused_components(&mut document);
    sort(&mut document);
    document
}

/// A described field of a named type comes out as `allOf: [$ref, {description}]`, which generators turn into a new type
/// per field. The description on the type has to do.
fn unwrap_described_reference(object: &mut Map<String, Value>) {
    let Some([reference, notes]) = object.get("allOf").and_then(Value::as_array).map(Vec::as_slice) else {
        return;
    };
    let only_described = notes.as_object().is_some_and(|notes| notes.keys().all(|key| key == "description"));
    if let (Some(target), true) = (reference.get("$ref").cloned(), only_described) {
        *object = Map::from_iter([("$ref".to_owned(), target)]);
    }
}

/// OpenAPI knows int32 and int64, not Rust's other widths, and `uri`, not `url`.
fn name_portable_format(object: &mut Map<String, Value>) {
    let (format, least, most) = match (object.get("type"), object.get("format").and_then(Value::as_str)) {
        (Some(Value::String(kind)), Some("url")) if kind == "string" => ("uri", None, None),
        (_, Some("int8")) => ("int32", Some(i64::from(i8::MIN)), Some(i64::from(i8::MAX))),
        (_, Some("int16")) => ("int32", Some(i64::from(i16::MIN)), Some(i64::from(i16::MAX))),
        (_, Some("uint8")) => ("int32", Some(0), Some(i64::from(u8::MAX))),
        (_, Some("uint16")) => ("int32", Some(0), Some(i64::from(u16::MAX))),
        (_, Some("uint32")) => ("int64", Some(0), Some(i64::from(u32::MAX))),
        (_, Some("uint64")) => ("int64", Some(0), None),
        _ => return,
    };
    object.insert("format".to_owned(), json!(format));
    for (key, bound) in [("minimum", least), ("maximum", most)] {
        if let Some(bound) = bound {
            object.entry(key).or_insert(json!(bound));
        }
    }
}

/// Bounds are floats inside poem-openapi; `"minimum": 1.0` makes Go and Java generators write `1.0` where an integer has
/// to stand.
fn write_whole_bounds_as_integers(object: &mut Map<String, Value>) {
    /// Above this a float no longer counts whole numbers one by one.
    const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
    for key in ["minimum", "maximum", "multipleOf"] {
        if let Some(bound) = object.get_mut(key)
            && let Some(float) =
                bound.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= LARGEST_EXACT)
        {
            *bound = json!(float as i64);
        }
    }
}

/// Requests refuse unknown fields and answers may gain some. poem-openapi enforces the first but does not say it.
fn close_request_schemas(document: &mut Value) {
    let mut reached = BTreeSet::new();
    for_each_operation(document, |operation| {
        if let Some(body) = operation.get_mut("requestBody") {
            every_object(body, &mut close);
            collect_references(body, &mut reached);
        }
    });
    let mut open: Vec<_> = reached.iter().cloned().collect();
    while let Some(reference) = open.pop() {
        let Some(schema) = document.pointer_mut(pointer_of(&reference)) else { continue };
        every_object(schema, &mut close);
        let mut found = BTreeSet::new();
        collect_references(schema, &mut found);
        open.extend(found.into_iter().filter(|reference| reached.insert(reference.clone())));
    }
}

fn close(object: &mut Map<String, Value>) {
    if object.get("type") == Some(&json!("object")) && object.contains_key("properties") {
        object.entry("additionalProperties").or_insert(json!(false));
    }
}

/// Without `security` an operation inherits the document's; one that asks for no credentials has to say so.
fn say_public(operation: &mut Map<String, Value>) {
    operation.entry("security").or_insert(json!([]));
}

/// What stands between a scheme's name and the role that a guard hangs on it.
const ROLE_MARK: char = ':';

/// Guards name their scheme `levee:admin`: the same scheme, with the least role that passes.
fn make_one_scheme(document: &mut Value) {
    let schemes = document.pointer_mut("/components/securitySchemes").and_then(Value::as_object_mut);
    if let Some(schemes) = schemes {
        let named = std::mem::take(schemes).into_iter();
        schemes.extend(named.map(|(name, scheme)| (without_role(&name).to_owned(), scheme)));
    }
}

/// OpenAPI 3.0 has no word for roles, so an extension says which one an operation needs: `any` for whoever has signed in.
fn say_role(operation: &mut Map<String, Value>) {
    let alternatives = operation.get_mut("security").and_then(Value::as_array_mut);
    let mut needed = None;
    for schemes in alternatives.into_iter().flatten().filter_map(Value::as_object_mut) {
        let named = std::mem::take(schemes).into_iter();
        schemes.extend(named.map(|(name, scopes)| {
            needed = name.split_once(ROLE_MARK).map(|(_, role)| json!(role));
            (without_role(&name).to_owned(), scopes)
        }));
    }
    operation.extend(needed.map(|role| ("x-levee-role".to_owned(), role)));
}

fn without_role(scheme: &str) -> &str {
    scheme.split_once(ROLE_MARK).map_or(scheme, |(name, _)| name)
}

/// poem-openapi writes every failure as `default`. progenitor takes that for a success as well, and refuses a document
/// whose two answers differ, so the two ranges stand instead. Readers and linters look for the likely ones by number:
/// 400 where something can be sent wrong, 404 where the path names something.
fn name_refusals(operation: &mut Map<String, Value>) {
    let parameters = operation.get("parameters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let fallible = !parameters.is_empty() || operation.contains_key("requestBody");
    let named = parameters.iter().any(|parameter| parameter["in"] == "path");
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let Some(failure) = responses.remove("default") else { return };
    let refusals = [
        ("400", fallible, "The request is not valid."),
        ("404", named, "There is no such thing."),
        ("4XX", true, "It was refused; the problem's `type` says why."),
        ("5XX", true, "It failed through no fault of the request."),
    ];
    for (status, _, description) in refusals.into_iter().filter(|(_, possible, _)| *possible) {
        let mut response = failure.clone();
        response["description"] = json!(description);
        responses.entry(status).or_insert(response);
    }
}

/// A header that stands on every response is written once and referred to.
fn move_headers_to_components(document: &mut Value) {
    let mut shared = Map::new();
    for_each_operation(document, |operation| {
        for (_, response) in
            operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten()
        {
            let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) else { continue };
            *headers = std::mem::take(headers)
                .into_iter()
                .map(|(name, header)| share(&name, header, &mut shared))
                .collect();
        }
    });
    if !shared.is_empty() {
        document["components"]["headers"] = Value::Object(shared);
    }
}

/// Two headers of one name and different text stay where they are.
fn share(name: &str, header: Value, shared: &mut Map<String, Value>) -> (String, Value) {
    let name = canonical(name);
    if *shared.entry(name.as_str()).or_insert_with(|| header.clone()) != header {
        return (name, header);
    }
    let reference = json!({ "$ref": format!("#/components/headers/{name}") });
    (name, reference)
}

/// `X-REQUEST-ID` is how poem-openapi spells `X-Request-Id`.
fn canonical(name: &str) -> String {
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + &rest.to_ascii_lowercase(),
        None => word.to_owned(),
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// What nothing refers to, directly or through what is dropped here, would become a type nobody uses in every client.
fn drop_unused_components(document: &mut Value) {
    loop {
        let mut used = BTreeSet::new();
        collect_references(document, &mut used);
        let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) else { return };
        let mut dropped = false;
        for (kind, members) in components.iter_mut().filter(|(kind, _)| *kind != "securitySchemes") {
            let Some(members) = members.as_object_mut() else { continue };
            let before = members.len();
            members.retain(|name, _| used.contains(&format!("#/components/{kind}/{name}")));
            dropped |= members.len() < before;
        }
        if !dropped {
            return;
        }
    }
}

/// Paths, components and responses by name, methods in OpenAPI's order: a diff then shows only what changed.
fn sort(document: &mut Value) {
    for_each_operation(document, |operation| sort_at(operation.get_mut("responses")));
    sort_at(document.get_mut("paths"));
    for (_, item) in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        let Some(item) = item.as_object_mut() else { continue };
        let mut methods: Vec<_> = std::mem::take(item).into_iter().collect();
        methods.sort_by_key(|(method, _)| METHODS.iter().position(|known| known == method));
        item.extend(methods);
    }
    for (_, members) in document.get_mut("components").and_then(Value::as_object_mut).into_iter().flatten() {
        sort_at(Some(members));
    }
    sort_at(document.get_mut("components"));
}

fn sort_at(object: Option<&mut Value>) {
    if let Some(object) = object.and_then(Value::as_object_mut) {
        object.sort_keys();
    }
}

fn for_each_operation(document: &mut Value, mut visit: impl FnMut(&mut Map<String, Value>)) {
    for (_, item) in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for (_, operation) in
            item.as_object_mut().into_iter().flatten().filter(|(key, _)| METHODS.contains(&key.as_str()))
        {
            visit(operation.as_object_mut().unwrap_or(&mut Map::new()));
        }
    }
}

/// Visits every object, the inner ones first.
fn every_object(value: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| every_object(item, visit)),
        Value::Object(object) => {
            object.values_mut().for_each(|member| every_object(member, visit));
            visit(object);
        }
        _ => {}
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|member| collect_references(member, found));
        }
        _ => {}
    }
}

fn pointer_of(reference: &str) -> &str {
    reference.strip_prefix('#').unwrap_or(reference)
}

#[cfg(test)]
mod tests;
