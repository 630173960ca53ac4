//! Reads the claims of a page and judges them by what is known of the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::markdown::{self, Line};

/// Variables that belong to the tests, not to the program.
const OF_THE_TESTS: [&str; 5] = [
    "LEVEE_CACHE",
    "LEVEE_TEST_VENV",
    "LEVEE_TEST_KUBECONFIG",
    "LEVEE_TEST_KUBERNETES_RESTART",
    "LEVEE_GIT_REVISION",
];

/// A line that says one of these shows a name that is wrong on purpose.
const WRONG_ON_PURPOSE: [&str; 3] = ["misspelt", "did you mean", "nearly one of"];

/// What the program has.
pub(super) struct Known {
    /// Every command with its flags; the empty one has those that stand alone.
    pub(super) commands: Vec<(String, BTreeSet<String>)>,
    /// Every setting's variable.
    pub(super) variables: BTreeSet<String>,
    /// Every header an answer was seen to have, lower case.
    pub(super) headers: BTreeSet<String>,
}

/// `line: what is wrong` for each false claim. `complete`: the page's table of settings has to name every one.
pub(super) fn faults(page: &str, folder: &Path, known: &Known, complete: bool) -> Vec<String> {
    let lines = markdown::lines(page);
    let mut faults = Vec::new();
    for line in &lines {
        let mut tell = |fault: String| faults.push(format!("{}: {fault}", line.number));
        code_of(line).for_each(|code| commands(code, known).into_iter().for_each(&mut tell));
        let on_purpose = WRONG_ON_PURPOSE.iter().any(|words| line.text.contains(words));
        variables(line.text)
            .filter(|name| !on_purpose && !is_variable(name, known))
            .for_each(|name| tell(format!("{name} is no setting")));
        if line.block.is_none() {
            let broken = markdown::links(line.text).filter(|target| !leads_somewhere(target, page, folder));
            broken.for_each(|target| tell(format!("{target} leads nowhere")));
        }
    }
    faults.extend(headers(&lines, known));
    if complete {
        let rows = lines.iter().filter(|line| line.block.is_none() && line.text.starts_with('|'));
        let named: BTreeSet<&str> = rows.flat_map(|row| variables(row.text)).collect();
        let missing = known.variables.iter().filter(|name| !named.contains(name.as_str()));
        faults.extend(missing.map(|name| format!("0: {name} is missing from the table of settings")));
    }
    faults
}

/// Text in which a command may stand.
fn code_of<'t>(line: &'t Line<'_>) -> Box<dyn Iterator<Item = &'t str> + 't> {
    if line.block.is_some() {
        Box::new(std::iter::once(line.text))
    } else {
        Box::new(markdown::code_spans(line.text))
    }
}

/// Words that begin with `LEVEE_`; one that is followed by more than a name (`LEVEE_*`, `LEVEE_…`) names none.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("LEVEE_").filter_map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|character: char| {
            !(character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_')
        });
        let name = &rest[..end.unwrap_or(rest.len())];
        (!name.ends_with('_')).then_some(name)
    })
}

fn is_variable(name: &str, known: &Known) -> bool {
    known.variables.contains(name) || OF_THE_TESTS.contains(&name)
}

/// What is wrong with the commands of a piece of code: `levee` as its first word, or as the last part of a path.
fn commands(code: &str, known: &Known) -> Vec<String> {
    let prompt = code.trim_start().trim_start_matches(['$', '#', '>']).trim_start();
    let part = prompt.split(['|', ';', '&', '#']).next().unwrap_or_default();
    let mut words = part.split_whitespace().skip_while(|word| word.contains('=') || *word == "sudo");
    if words.next().is_none_or(|word| word.rsplit('/').next() != Some("levee")) {
        return Vec::new();
    }
    let mut words = words.peekable();
    let name = match words.peek() {
        Some(word) if !word.starts_with('-') => words.next().unwrap_or_default(),
        _ => "",
    };
    if name.contains(['…', '{', '<', ':']) || name == "help" {
        return Vec::new();
    }
    let Some((_, flags)) = known.commands.iter().find(|(command, _)| command == name) else {
        return vec![format!("there is no command `levee {name}`")];
    };
    let given = words.filter(|word| word.starts_with("--")).map(|word| {
        let flag = word.trim_start_matches('[');
        flag.split(['=', ']', ',']).next().unwrap_or_default().to_owned()
    });
    given
        .filter(|flag| !flags.contains(flag))
        .map(|flag| format!("`levee {name}` has no flag {flag}"))
        .collect()
}

/// Whether a link of the page leads to something; those that leave the repository are not followed.
fn leads_somewhere(target: &str, page: &str, folder: &Path) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let text = match path {
        "" => page.to_owned(),
        path if !folder.join(path).exists() => return false,
        path => fs::read_to_string(folder.join(path)).unwrap_or_default(),
    };
    let is_page = path.is_empty() || Path::new(path).extension().is_some_and(|extension| extension == "md");
    let headings = markdown::lines(&text);
    anchor.is_empty()
        || !is_page
        || headings
            .iter()
            .any(|line| line.block.is_none() && markdown::anchor(line.text).as_deref() == Some(anchor))
}

/// Headers of pasted answers: the lines of a block from a status line to the next line that is no header.
fn headers(lines: &[Line<'_>], known: &Known) -> Vec<String> {
    let (mut faults, mut answer) = (Vec::new(), None);
    for line in lines {
        let text = line.text.trim_start().trim_start_matches("< ");
        if line.block.is_some() && (text.starts_with("HTTP/1.1 ") || text.starts_with("HTTP/2 ")) {
            answer = line.block;
            continue;
        }
        let header = text.split_once(": ").map(|(name, _)| name).filter(|name| is_token(name));
        let Some(name) = header.filter(|_| answer.is_some() && answer == line.block) else {
            answer = None;
            continue;
        };
        if !known.headers.contains(&name.to_lowercase()) {
            faults.push(format!("{}: no answer has the header {name}", line.number));
        }
    }
    faults
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
