//! JSON values as trees. JSON that came over the API has no lines: a value's number leads to its pointer instead.

use super::{Entry, MAX_DEPTH, MAX_NODES, Node, Value};
use crate::models::decode::quantity::looks_like_number;
use crate::models::decode::{below, within};

/// A JSON value as a tree whose lines are indexes into the places they stand at.
#[derive(Debug)]
pub(crate) struct Numbered {
    /// The tree.
    pub(crate) root: Node,
    places: Vec<Standing>,
}

/// Where a value stands, in both spellings.
#[derive(Debug)]
struct Standing {
    field: String,
    pointer: String,
}

/// The tree of a JSON value, or the pointer and the reason where a bound is exceeded.
pub(crate) fn number(value: &serde_json::Value) -> Result<Numbered, (String, String)> {
    let mut places = Vec::new();
    let root = take(value, Standing { field: String::new(), pointer: String::new() }, 0, &mut places)?;
    Ok(Numbered { root, places })
}

impl Numbered {
    /// The JSON Pointer (RFC 6901) of a fault: its line's, and for a field that is missing there the field's.
    pub(crate) fn pointer(&self, line: u32, field: &str) -> String {
        let Some(place) = self.places.get(line as usize) else { return pointer_of(field) };
        let missing = field.strip_prefix(&place.field).filter(|_| field != "document");
        format!("{}{}", place.pointer, missing.map(pointer_of).unwrap_or_default())
    }
}

/// The JSON Pointer of a field whose names hold no dots and no brackets: `spec.fallback[0].upstream`.
pub fn pointer_of(field: &str) -> String {
    let parts = field.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    parts.filter(|part| !part.is_empty()).fold(String::new(), |above, part| deeper(&above, part))
}

fn deeper(above: &str, name: &str) -> String {
    format!("{above}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn take(
    value: &serde_json::Value,
    place: Standing,
    depth: usize,
    places: &mut Vec<Standing>,
) -> Result<Node, (String, String)> {
    let line = u32::try_from(places.len()).unwrap_or(u32::MAX);
    if places.len() >= MAX_NODES {
        return Err((String::new(), format!("has more than {MAX_NODES} values")));
    }
    if depth > MAX_DEPTH {
        return Err((place.pointer, format!("is nested more than {MAX_DEPTH} deep")));
    }
    let (field, pointer) = (place.field.clone(), place.pointer.clone());
    places.push(place);
    let scalar = |text: String, quoted| Ok(Node { line, value: Value::Scalar { text, quoted } });
    match value {
        serde_json::Value::Null => scalar(String::new(), false),
        serde_json::Value::Bool(given) => scalar(given.to_string(), false),
        serde_json::Value::Number(given) => scalar(given.to_string(), false),
        serde_json::Value::String(given) => scalar(given.clone(), true),
        serde_json::Value::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let place = Standing { field: within(&field, index), pointer: format!("{pointer}/{index}") };
                list.push(take(item, place, depth + 1, places)?);
            }
            Ok(Node { line, value: Value::List(list) })
        }
        serde_json::Value::Object(fields) => {
            let mut entries = Vec::with_capacity(fields.len());
            for (name, value) in fields {
                let place = Standing { field: below(&field, name), pointer: deeper(&pointer, name) };
                let node = take(value, place, depth + 1, places)?;
                entries.push(Entry { name: name.clone(), line: node.line, node });
            }
            Ok(Node { line, value: Value::Map(entries) })
        }
    }
}

/// What a tree says as JSON: plain scalars by the YAML 1.2 core schema as far as JSON has their like.
pub(crate) fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => serde_json::Value::Null,
        Value::Scalar { text, quoted: true } => text.as_str().into(),
        Value::Scalar { text, quoted: false } => match text.as_str() {
            "true" | "True" | "TRUE" => true.into(),
            "false" | "False" | "FALSE" => false.into(),
            text => number_of(text).map_or_else(|| text.into(), serde_json::Value::Number),
        },
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.name.clone(), json(&entry.node))).collect(),
    }
}

/// JSON writes fewer forms of numbers than YAML: not `007`, `.5`, `+1.5`.
fn number_of(text: &str) -> Option<serde_json::Number> {
    let fraction =
        || text.parse().ok().filter(|_| looks_like_number(text)).and_then(serde_json::Number::from_f64);
    text.parse().ok().or_else(|| text.parse::<u64>().ok().map(Into::into)).or_else(fraction)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_leads_back_to_the_pointer_whatever_names_hold() {
        let numbered = number(&json!({ "a.b": { "c/d~e": [1, { "f": null }] } })).unwrap();
        let Value::Map(entries) = &numbered.root.value else { panic!("a mapping") };
        let inner = &entries[0];
        assert_eq!(numbered.pointer(inner.line, "a.b"), "/a.b");
        let Value::Map(entries) = &inner.node.value else { panic!("a mapping") };
        let Value::List(items) = &entries[0].node.value else { panic!("a list") };
        assert_eq!(numbered.pointer(items[1].line, "a.b.c/d~e[1]"), "/a.b/c~1d~0e/1");
        assert_eq!(numbered.pointer(items[1].line, "a.b.c/d~e[1].g"), "/a.b/c~1d~0e/1/g", "a missing field");
        assert_eq!(numbered.pointer(0, "document"), "");
        assert_eq!(numbered.pointer(0, "x[2].y"), "/x/2/y");
    }

    #[test]
    fn what_is_given_as_json_comes_back_the_same() {
        let given = json!({ "a": [1, 2.5, true, null, "1", "true", ""], "b": { "c": "x" } });
        assert_eq!(json(&number(&given).unwrap().root), given);
    }

    #[test]
    fn numbers_that_only_yaml_writes_so_stay_numbers() {
        let plain =
            |text: &str| Node { line: 1, value: Value::Scalar { text: text.to_owned(), quoted: false } };
        for (text, number) in
            [("007", json!(7)), (".5", json!(0.5)), ("5.", json!(5.0)), ("1e2", json!(1e2)), ("7", json!(7))]
        {
            assert_eq!(json(&plain(text)), number, "{text}");
        }
        for text in ["1d", ".inf", "1e999", "1.2.3", "nan", "inf"] {
            assert_eq!(json(&plain(text)), json!(text));
        }
    }

    #[test]
    fn bounds_hold_for_json_as_for_yaml() {
        let deep = (0..=MAX_DEPTH).fold(json!(1), |inner, _| json!([inner]));
        assert!(number(&deep).unwrap_err().1.contains("deep"));
        let wide = json!(vec![0; MAX_NODES]);
        assert!(number(&wide).unwrap_err().1.contains("values"));
    }
}
