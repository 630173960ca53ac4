//! `levee.yaml`: the same settings as the environment, in one file.

use std::path::Path;

use crate::config::source::{Given, Setting};
use crate::models::decode::{Fields, Place};
use crate::models::fault::Fault;
use crate::models::node;

/// Names of the settings, in the order of [`Setting::ALL`].
const FIELDS: &[&str] = &[
    "listen",
    "apiListen",
    "opsListen",
    "upstreams",
    "allowedCidrs",
    "drainDelay",
    "drainTimeout",
    "log",
    "logFormat",
    "databaseUrl",
    "redisUrl",
    "redisPrefix",
    "secretKeys",
    "snapshotDir",
    "bootstrapAdminEmail",
    "bootstrapAdminPassword",
    "trustedProxies",
    "corsOrigins",
    "kubernetes",
    "kubernetesNamespaces",
    "kubernetesSecretNamespaces",
];

/// Adds what the file says, and answers with everything that is wrong with its form. What a value means is judged
/// with the other sources'.
pub(super) fn read(file: &Path, given: &mut Given) -> Vec<String> {
    let name = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return vec![format!("{name}: cannot be read: {error}")],
    };
    let documents = node::parse(&name, &text);
    if documents.len() > 1 {
        return vec![format!("{name}: has {} documents; settings are one", documents.len())];
    }
    let mut faults: Vec<Fault> = Vec::new();
    for document in documents {
        if let Some(root) = &document.root {
            let place = Place::root(&document.report, root);
            read_settings(&name, &place, given);
        }
        faults.extend(document.report.into_faults(None));
    }
    faults.iter().map(ToString::to_string).collect()
}

fn read_settings(file: &str, place: &Place<'_>, given: &mut Given) {
    let Some(object) = place.object(Fields::all(FIELDS)) else { return };
    for setting in Setting::ALL {
        let Some(place) = object.get(setting.field()) else { continue };
        let line = place.line_number();
        let text = if setting.is_list() {
            place.list_of(64, |item| item.line(256).map(str::to_owned)).map(|ranges| ranges.join(","))
        } else {
            place.line(4096).map(str::to_owned)
        };
        if let Some(text) = text {
            given.add(setting, text, format!("{file}:{line}: {}", setting.field()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_settings() {
        assert_eq!(FIELDS, Setting::ALL.map(Setting::field));
    }
}
