//! The rules of the house that no compiler holds: who may import whom, and how files look.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use imports::{MAY_USE, OPEN_TO_ALL, modules_used};

mod guards;
mod imports;

/// Lines of a file, its tests included.
const LONGEST_FILE: usize = 400;

/// One file of the repository.
struct File {
    /// Relative to the repository.
    path: String,
    text: String,
}

#[test]
fn a_module_imports_only_what_the_table_allows() {
    let modules: BTreeSet<_> = MAY_USE.iter().map(|(module, _)| *module).chain(OPEN_TO_ALL).collect();
    let mut faults = Vec::new();
    for file in rust_files(&["src"]) {
        let inside = file.path["src/".len()..].trim_end_matches(".rs").to_owned();
        let module = inside.split('/').next().expect("a path has a first part");
        if ["main", "lib"].contains(&inside.as_str()) {
            continue;
        }
        if !modules.contains(module) {
            faults.push(format!("{}: `{module}` does not stand in the import table", file.path));
        }
        let depth = inside.split('/').count();
        for used in modules_used(&file.text, depth, &modules) {
            if !imports::allowed(module, &used) {
                faults.push(format!("{}: `{module}` may not use `{used}`", file.path));
            }
        }
    }
    assert_no(&faults);
}

#[test]
fn every_file_says_in_its_first_line_what_it_is_for() {
    let silent = |file: &File| !file.text.starts_with("//! ");
    assert_no(&offenders(&rust_files(&["src", "tests", "benches"]), silent));
}

#[test]
fn no_file_is_too_long() {
    let long = |file: &File| file.text.lines().count() > LONGEST_FILE;
    assert_no(&offenders(&rust_files(&["src", "tests", "benches"]), long));
}

#[test]
fn nothing_is_left_for_later() {
    let markers = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    assert_no(&mentions(&all_files(), &markers));
}

#[test]
fn no_path_of_a_machine_is_written_down() {
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    assert_no(&mentions(&all_files(), &paths));
}

#[test]
fn every_dependency_gives_its_reason() {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let mut in_dependencies = false;
    let mut faults = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            in_dependencies = section.trim_end().ends_with("dependencies]");
        } else if in_dependencies && line.contains(" = ") && !line.starts_with('#') && !line.contains(" # ") {
            faults.push(line.to_owned());
        }
    }
    assert_no(&faults);
}

/// The handlers' guard stands in front of it, so no request shows that it is missing.
#[test]
fn every_service_asks_again_what_its_caller_may() {
    let services = rust_files(&["src"]).into_iter().filter(|file| file.path.starts_with("src/services/"));
    let unguarded = |file: File| {
        guards::unguarded(&file.text).into_iter().map(move |name| format!("{}: {name}", file.path))
    };
    assert_no(&services.flat_map(unguarded).collect::<Vec<_>>());
}

#[test]
fn metric_names_are_spelled_only_in_telemetry() {
    let elsewhere = rust_files(&["src"]).into_iter().filter(|file| !file.path.starts_with("src/telemetry"));
    assert_no(&mentions(&elsewhere.collect::<Vec<_>>(), &["\"levee_"]));
}

fn offenders(files: &[File], offends: impl Fn(&File) -> bool) -> Vec<String> {
    files.iter().filter(|file| offends(file)).map(|file| file.path.clone()).collect()
}

/// `file:line: text` for every line that holds one of the words.
fn mentions(files: &[File], words: &[&str]) -> Vec<String> {
    let lines = files.iter().flat_map(|file| file.text.lines().enumerate().map(move |line| (file, line)));
    lines
        .filter(|(_, (_, line))| words.iter().any(|word| line.contains(word)))
        .map(|(file, (number, line))| format!("{}:{}: {}", file.path, number + 1, line.trim()))
        .collect()
}

#[track_caller]
fn assert_no(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folders: &[&str]) -> Vec<File> {
    let mut files = Vec::new();
    for folder in folders {
        collect(&repository().join(folder), &mut files);
    }
    files.retain(|file| Path::new(&file.path).extension().is_some_and(|extension| extension == "rs"));
    assert!(!files.is_empty(), "no Rust files under {folders:?}");
    files
}

/// Every text file, but for what is generated or copied as it is.
fn all_files() -> Vec<File> {
    let mut files = Vec::new();
    collect(repository(), &mut files);
    files.retain(|file| file.path != "Cargo.lock" && !file.path.starts_with("LICENSE"));
    files
}

fn collect(folder: &Path, into: &mut Vec<File>) {
    const NOT_OURS: [&str; 6] = [".git", "target", ".levee", "node_modules", ".hypothesis", ".schemathesis"];
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let name = entry.file_name().expect("it came from a folder").to_string_lossy();
        if NOT_OURS.contains(&name.as_ref()) {
            continue;
        }
        if entry.is_dir() {
            collect(&entry, into);
        } else if let Ok(text) = fs::read_to_string(&entry) {
            let path = entry.strip_prefix(repository()).expect("it lies inside").display().to_string();
            into.push(File { path, text });
        }
    }
}
