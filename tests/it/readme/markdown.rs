//! Markdown, as far as the claims go: fenced blocks, code spans, table rows, links, headings.

/// One line of a page.
pub(super) struct Line<'t> {
    /// Counted from 1.
    pub(super) number: usize,
    /// Without its end.
    pub(super) text: &'t str,
    /// Inside a fenced block: the block's number.
    pub(super) block: Option<usize>,
}

/// The lines of a page, fences themselves left out.
pub(super) fn lines(page: &str) -> Vec<Line<'_>> {
    let (mut fence, mut blocks, mut lines) = (None, 0, Vec::new());
    for (number, text) in page.lines().enumerate() {
        let ticks = text.trim_start().bytes().take_while(|byte| *byte == b'`').count();
        match fence {
            None if ticks >= 3 => (fence, blocks) = (Some(ticks), blocks + 1),
            Some(opened) if ticks >= opened => fence = None,
            _ => lines.push(Line { number: number + 1, text, block: fence.map(|_| blocks) }),
        }
    }
    lines
}

/// What stands between single backticks.
pub(super) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of the links of a line, images included.
pub(super) fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

/// The anchor that GitHub gives a heading.
pub(super) fn anchor(line: &str) -> Option<String> {
    let heading = line.trim_start_matches('#');
    if heading.len() == line.len() || !heading.starts_with(' ') {
        return None;
    }
    let kept =
        heading.trim().chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    Some(
        kept.map(|character| if character == ' ' { '-' } else { character })
            .collect::<String>()
            .to_lowercase(),
    )
}
