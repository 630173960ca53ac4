//! Secrets in files: `LEVEE_SECRET_KEYS_FILE` and its like name a file that holds the value.

use crate::config::source::{Given, Setting};

/// Adds what the files hold, and answers with those that cannot be used.
pub(super) fn read(given: &mut Given) -> Vec<String> {
    let mut faults = Vec::new();
    for setting in Setting::ALL.into_iter().filter(|setting| setting.is_secret()) {
        let variable = setting.file_variable();
        let Some(file) = std::env::var_os(&variable).filter(|file| !file.is_empty()) else { continue };
        if std::env::var_os(setting.variable()).is_some_and(|value| !value.is_empty()) {
            faults.push(format!("{variable}: {} is given too; leave one out", setting.variable()));
            continue;
        }
        match std::fs::read_to_string(&file) {
            Ok(text) => given.add(setting, text.trim_end_matches(['\r', '\n']), variable),
            Err(error) => {
                faults.push(format!("{variable}: {} cannot be read: {error}", file.display()));
            }
        }
    }
    faults
}
