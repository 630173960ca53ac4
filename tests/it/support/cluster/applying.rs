//! Server-side apply, as far as statuses need it: fields merge, list entries merge by their key, and what a manager applied
//! before and does no longer goes. That a field can belong to two managers is left out.

use serde_json::{Map, Value};

/// What makes the entries of a list those of a map, in the definition of Upstreams.
const KEYS: [&str; 2] = ["type", "operation"];

/// Applies `next`; `last` is what the same manager applied before.
pub(super) fn apply(live: &mut Value, last: &Value, next: &Value) {
    match next {
        Value::Object(fields) => {
            if !live.is_object() {
                *live = Value::Object(Map::new());
            }
            let live = live.as_object_mut().expect("it was just made one");
            for gone in
                last.as_object().into_iter().flat_map(Map::keys).filter(|field| !fields.contains_key(*field))
            {
                live.remove(gone);
            }
            for (field, value) in fields {
                apply(live.entry(field).or_insert(Value::Null), &last[field], value);
                let is_empty = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
                // Entries that are all taken back take the list with them.
                if is_empty(&live[field]) && last[field].is_array() && !is_empty(&last[field]) {
                    live.remove(field);
                }
            }
        }
        Value::Array(entries) => apply_list(live, last, entries),
        _ => *live = next.clone(),
    }
}

fn apply_list(live: &mut Value, last: &Value, entries: &[Value]) {
    let before = last.as_array().map_or(&[][..], Vec::as_slice);
    let key = |entry: &Value| KEYS.iter().find_map(|key| entry.get(key).cloned());
    let keyed = entries.iter().chain(before).all(|one| key(one).is_some());
    let Some(found) = live.as_array_mut().filter(|_| keyed) else {
        *live = Value::Array(entries.to_vec());
        return;
    };
    let has = |entries: &[Value], one: &Value| entries.iter().any(|entry| key(entry) == key(one));
    found.retain(|one| !has(before, one) || has(entries, one));
    for entry in entries {
        let applied = before.iter().find(|one| key(one) == key(entry)).cloned().unwrap_or_default();
        match found.iter_mut().find(|one| key(one) == key(entry)) {
            Some(one) => apply(one, &applied, entry),
            None => found.push(entry.clone()),
        }
    }
}
