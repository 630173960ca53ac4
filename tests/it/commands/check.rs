//! `levee check`: every fault as `file:line: field: reason`.

use super::{BAD_USAGE, command, document, ended, folder, run, write};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn a_good_file_is_silent() {
    let folder = folder();
    let open = "  url: https://api.example.com/v1\n  access: { allow: [any_authenticated] }\n";
    write(&folder, "good.yaml", &document("rates", open));
    assert_eq!(run(&folder, &["check", "good.yaml"]), (0, String::new(), String::new()));
}

#[test]
fn an_upstream_that_nobody_may_call_is_mentioned() {
    let folder = folder();
    write(&folder, "closed.yaml", &document("rates", "  url: https://api.example.com/v1\n"));
    let note = "closed.yaml:1: spec.access.allow: note: names nobody, so nobody may call `rates`\n";
    assert_eq!(run(&folder, &["check", "closed.yaml"]), (0, String::new(), note.to_owned()));
    assert_eq!(run(&folder, &["check", "closed.yaml", "--dev"]), (0, String::new(), String::new()));
}

#[test]
fn every_fault_of_every_file_is_told_with_its_line_and_the_nearest_name() {
    let folder = folder();
    let first = "  url: https://api.example.com/v1\n  timeout: { totl: 3s }\n  retry: { on: [rest], attempts: 99 }\n  hedge: {}\n";
    write(&folder, "a.yaml", &document("rates", first));
    write(&folder, "b.yaml", "kind: Upstrem\nspec: { url: 'ftp://x' }\n");
    let (code, out, error) = run(&folder, &["check", "a.yaml", "b.yaml"]);
    assert_eq!((code, error.as_str()), (1, ""));
    let found = lines(&out);
    for expected in [
        "a.yaml:6: spec.timeout.totl: unknown field; did you mean `total`?",
        "a.yaml:7: spec.retry.on[0]: `rest` is not a value; did you mean `reset`?",
        "b.yaml:1: apiVersion: required, but not given",
        "b.yaml:1: kind: `Upstrem` is not a value; did you mean `Upstream`?",
        "b.yaml:1: metadata: required, but not given",
    ] {
        assert!(found.contains(&expected), "no {expected:?} in\n{out}");
    }
    for beginning in
        ["a.yaml:7: spec.retry.attempts: ", "a.yaml:8: spec.hedge: not supported yet", "b.yaml:2: spec.url: "]
    {
        assert!(found.iter().any(|line| line.starts_with(beginning)), "no {beginning:?} in\n{out}");
    }
    assert_eq!(found.len(), 8, "{out}");
}

#[test]
fn files_named_together_are_checked_together() {
    let folder = folder();
    let leads_to = |name: &str| {
        format!("  url: https://api.example.com/\n  fallback:\n    - upstream: {{ name: {name} }}\n")
    };
    write(&folder, "a.yaml", &document("first", &leads_to("second")));
    write(&folder, "b.yaml", &document("second", "  url: https://b.example.com/\n"));
    assert_eq!(run(&folder, &["check", "a.yaml", "b.yaml"]).0, 0);
    let (code, out, _) = run(&folder, &["check", "a.yaml"]);
    assert!(code == 1 && out.starts_with("a.yaml:1: spec.fallback[0].upstream.name: "), "{out}");
    write(&folder, "b.yaml", &document("second", &leads_to("first")));
    let (code, out, _) = run(&folder, &["check", "a.yaml", "b.yaml"]);
    assert!(code == 1 && out.contains("first") && out.contains("second"), "a cycle: {out}");
    write(&folder, "b.yaml", &document("first", "  url: https://b.example.com/\n"));
    let (code, out, _) = run(&folder, &["check", "b.yaml", "b.yaml"]);
    assert!(code == 1 && out.contains("b.yaml:1: metadata.name: "), "one name twice: {out}");
}

#[test]
fn a_folder_stands_for_its_yaml_files() {
    let folder = folder();
    write(&folder, "d/a.yaml", &document("a", "  url: https://a.example.com/\n"));
    write(&folder, "d/b.yml", &document("b", "  urk: https://b.example.com/\n"));
    write(&folder, "d/.hidden.yaml", "nonsense");
    write(&folder, "d/notes.txt", "nonsense");
    let (code, out, _) = run(&folder, &["check", "d"]);
    assert_eq!(code, 1);
    assert!(lines(&out).iter().all(|line| line.starts_with("d/b.yml:")), "{out}");
    assert!(out.contains("d/b.yml:5: spec.urk: unknown field; did you mean `url`?"), "{out}");
}

#[test]
fn a_file_that_is_missing_is_a_fault_like_any_other() {
    let folder = folder();
    write(&folder, "bad.yaml", "kind: [\n");
    let (code, out, _) = run(&folder, &["check", "nowhere.yaml", "bad.yaml"]);
    assert_eq!(code, 1);
    assert!(out.contains("nowhere.yaml:1: file: cannot be read: "), "{out}");
    assert!(out.lines().any(|line| line.starts_with("bad.yaml:")), "{out}");
}

#[test]
fn loopback_is_for_dev_and_for_those_who_allow_it() {
    let folder = folder();
    write(&folder, "local.yaml", &document("local", "  url: http://127.0.0.1:9099\n"));
    let (code, out, _) = run(&folder, &["check", "local.yaml"]);
    assert!(code == 1 && out.starts_with("local.yaml:5: spec.url: "), "{out}");
    assert_eq!(run(&folder, &["check", "local.yaml", "--dev"]).0, 0);
    assert_eq!(run(&folder, &["check", "local.yaml", "--allowed-cidrs", "127.0.0.0/8"]).0, 0);
    let mut by_variable = command(&folder, &["check", "local.yaml"]);
    assert_eq!(ended(&by_variable.env("LEVEE_ALLOWED_CIDRS", "127.0.0.0/8").output().unwrap()).0, 0);
    write(&folder, "levee.yaml", "allowedCidrs: [127.0.0.0/8]\n");
    assert_eq!(run(&folder, &["check", "local.yaml", "--config", "levee.yaml"]).0, 0);
    assert_eq!(run(&folder, &["check", "local.yaml", "--allowed-cidrs", "loopback"]).0, BAD_USAGE);
}

#[test]
fn settings_are_checked_like_documents() {
    let folder = folder();
    write(&folder, "levee.yaml", "listen: 127.0.0.1:0\ndrainDelay: 3s\nlog: debug\nlogFormat: json\n");
    assert_eq!(run(&folder, &["check", "--config", "levee.yaml"]), (0, String::new(), String::new()));
    write(&folder, "levee.yaml", "listen: 8080\nlisten2: x\ndrainDelay: soon\n");
    let (code, out, _) = run(&folder, &["check", "--config", "levee.yaml"]);
    assert_eq!(code, 1);
    assert!(out.contains("levee.yaml:2: listen2: unknown field; did you mean `listen`?"), "{out}");
    write(&folder, "levee.yaml", "log: info\ndrainDelay: soon\nlogFormat: xml\n");
    let (code, out, _) = run(&folder, &["check", "--config", "levee.yaml"]);
    assert_eq!(code, 1);
    assert!(out.contains("levee.yaml:2: drainDelay: ") && out.contains("levee.yaml:3: logFormat: "), "{out}");
    let (code, out, _) = run(&folder, &["check", "--config", "nowhere.yaml"]);
    assert!(code == 1 && out.contains("nowhere.yaml"), "{out}");
}

/// What is wrong with the form of the file hides nothing that is wrong with a value.
#[test]
fn faults_of_form_and_of_meaning_are_told_together() {
    let folder = folder();
    write(&folder, "levee.yaml", "drainDelay: soon\nlisten2: x\n");
    let (code, out, _) = run(&folder, &["check", "--config", "levee.yaml"]);
    assert_eq!((code, out.lines().count()), (1, 2), "{out}");
    assert!(out.contains("levee.yaml:1: drainDelay: ") && out.contains("levee.yaml:2: listen2: "), "{out}");
}
