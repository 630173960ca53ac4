//! `/docs/problems`: every problem type of the table with its explanation from `docs/problems.md`, where people edit it.

use crate::error::{PROBLEM_BASE_URL, ProblemType};

const EXPLAINED: &str = include_str!("../../../docs/problems.md");

/// The page.
pub(super) fn page() -> String {
    let sections: String = ProblemType::ALL.into_iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Problems</title>\
         <link rel=\"icon\" href=\"data:,\"></head>\n<body>\n<h1>Problems</h1>\n\
         <p>Whatever Levee itself refuses is answered as <code>application/problem+json</code> (RFC 9457) with one of \
         these types.</p>\n{sections}</body>\n</html>\n"
    )
}

fn section(problem: ProblemType) -> String {
    let (slug, status, title) = (problem.slug(), problem.status(), problem.title());
    let heading = format!(
        "<h2 id=\"{slug}\">{title}</h2>\n<p><code>{PROBLEM_BASE_URL}{slug}</code>, status {status}</p>\n"
    );
    paragraphs(slug).fold(heading, |page, text| page + "<p>" + &marked_up(text) + "</p>\n")
}

/// What stands below the heading of this name.
fn paragraphs(slug: &str) -> impl Iterator<Item = &'static str> {
    let below = EXPLAINED.split("\n### ").find_map(|part| part.strip_prefix(slug)?.strip_prefix('\n'));
    let own = below.unwrap_or_default().split("\n## ").next().unwrap_or_default();
    own.split("\n\n").map(str::trim).filter(|text| !text.is_empty())
}

/// The marks that `docs/problems.md` uses: `code`, **bold**, *emphasis*.
fn marked_up(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let pieces = escaped.split('`').enumerate().map(|(index, piece)| match index % 2 {
        0 => alternate(&alternate(piece, "**", "strong"), "*", "em"),
        _ => format!("<code>{piece}</code>"),
    });
    pieces.collect()
}

/// Every second piece between marks becomes an element.
fn alternate(text: &str, mark: &str, element: &str) -> String {
    let pieces = text.split(mark).enumerate().map(|(index, piece)| match index % 2 {
        0 => piece.to_owned(),
        _ => format!("<{element}>{piece}</{element}>"),
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_type_is_explained() {
        let page = page();
        for problem in ProblemType::ALL {
            assert!(page.contains(&format!("<h2 id=\"{}\">", problem.slug())), "{problem:?}");
            let said: Vec<_> = paragraphs(problem.slug()).collect();
            let begins = format!("**{}**", problem.status());
            assert!(said.first().is_some_and(|text| text.starts_with(&begins)), "{problem:?}: {said:?}");
            assert!(said.iter().any(|text| text.contains("*Do:*")), "{problem:?}");
        }
    }

    #[test]
    fn marks_become_elements_and_nothing_else_does() {
        assert_eq!(
            marked_up("**404**. *Do:* send `<a>*b*`; **x** & y"),
            "<strong>404</strong>. <em>Do:</em> send <code>&lt;a&gt;*b*</code>; <strong>x</strong> &amp; y"
        );
    }
}
