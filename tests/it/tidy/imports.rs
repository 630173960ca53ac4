//! The import table, and which of our modules a source file names.

use std::collections::BTreeSet;

/// Who may use whom; anything not listed is forbidden.
pub(super) const MAY_USE: [(&str, &[&str]); 17] = [
    ("app", ALL),
    ("cli", ALL),
    ("server", &["api", "gateway", "middleware"]),
    ("api", &["services", "models"]),
    ("middleware", &["services", "models"]),
    ("services", &["repositories", "models", "identity", "cache", "events", "gateway", "redis"]),
    ("repositories", &["models"]),
    ("cache", &["models", "redis"]),
    ("events", &["models"]),
    ("identity", &["models"]),
    ("models", &[]),
    ("redis", &[]),
    ("fleet", &["redis"]),
    ("config", &["models", "identity", "redis"]),
    ("gateway", &["models", "identity", "cache", "events", "redis", "fleet"]),
    ("worker", &["services", "gateway", "models"]),
    ("controller", &["services", "models"]),
];

/// These may be used by everybody, and use only each other.
pub(super) const OPEN_TO_ALL: [&str; 2] = ["error", "telemetry"];

const ALL: &[&str] = &["*"];

/// Whether the table lets `module` use `used`.
pub(super) fn allowed(module: &str, used: &str) -> bool {
    let listed = MAY_USE.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, list)| *list);
    module == used || OPEN_TO_ALL.contains(&used) || listed == ALL || listed.contains(&used)
}

/// The top-level modules a file names: `crate::x`, `crate::{x, y::z}`, and `super::x` that climbs to the root from
/// a file `depth` modules below it.
pub(super) fn modules_used(source: &str, depth: usize, modules: &BTreeSet<&str>) -> BTreeSet<String> {
    let code: String = source.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        // `some_crate::` and `$crate::` of another crate's macro are not ours.
        if !code[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            used.extend(named_at(&code[start + "crate::".len()..]));
        }
    }
    let climb = "super::".repeat(depth);
    for (start, _) in code.match_indices(&climb) {
        let climbs_from_here = !code[..start].ends_with("super::");
        let named = named_at(&code[start + climb.len()..]);
        used.extend(named.into_iter().filter(|name| climbs_from_here && modules.contains(name.as_str())));
    }
    used
}

fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// `x::y` names `x`; `{x::{y, z}, w}` names `x` and `w`.
fn named_at(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return Vec::from_iter(first_name(path));
    };
    let mut open = 0;
    let mut names = Vec::from_iter(first_name(group.trim_start()));
    for (at, character) in group.char_indices() {
        match character {
            '{' => open += 1,
            '}' if open == 0 => break,
            '}' => open -= 1,
            ',' if open == 0 => names.extend(first_name(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    names
}

fn first_name(path: &str) -> Option<String> {
    let end =
        path.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(path.len());
    // An upper-case name is an item at the crate's root, which belongs to no module.
    path[..end].starts_with(|first: char| first.is_lowercase()).then(|| path[..end].to_owned())
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let modules = BTreeSet::from(["cache", "gateway", "models", "services"]);
    let used = |source: &str, depth| modules_used(source, depth, &modules).into_iter().collect::<Vec<_>>();
    assert_eq!(used("use crate::models::policy::Policy;", 1), ["models"]);
    assert_eq!(used("let x = crate::cache::get(y); // crate::services", 1), ["cache"]);
    assert_eq!(
        used("use crate::{cache, gateway::{self, models as m},\n    services::x};", 1),
        ["cache", "gateway", "services"]
    );
    assert_eq!(used("use super::super::services::login;", 2), ["services"]);
    assert_eq!(used("use super::services_of_mine::x; use other_crate::services;", 2), Vec::<String>::new());
}

#[test]
fn the_table_is_held() {
    assert!(allowed("gateway", "models") && allowed("gateway", "error") && allowed("app", "services"));
    assert!(!allowed("gateway", "services") && !allowed("models", "cache") && !allowed("error", "models"));
}
