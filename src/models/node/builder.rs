//! Puts the parser's events together into trees.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Document, Entry, MAX_DEPTH, MAX_FILE, MAX_NODES, Node, Value};
use crate::models::decode::{below, within};
use crate::models::fault::Report;

/// Why reading cannot go on, and on which line.
type Stop = (u32, String);

/// Every document up to the end or the first syntax error.
pub(super) fn documents<'f>(file: &'f str, text: &str) -> Vec<Document<'f>> {
    let mut builder = Builder::new(file);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let step = event
            .map_err(|error| (line_number(error.marker().line()), error.info().to_owned()))
            .and_then(|(event, span)| builder.take(event, line_number(span.start.line())));
        if let Err((line, reason)) = step {
            builder.report.add(line, "yaml", reason);
            builder.close(None);
            break;
        }
    }
    builder.documents
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

struct Builder<'f> {
    documents: Vec<Document<'f>>,
    /// On the document being read.
    report: Report<'f>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    size: Size,
}

/// A list or mapping whose end has not come yet.
struct Frame {
    line: u32,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, u32>, key: Option<Key> },
}

/// The name whose value comes next.
struct Key {
    name: String,
    line: u32,
    /// It was refused, so its value is read past.
    refused: bool,
}

#[derive(Default, Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl<'f> Builder<'f> {
    fn new(file: &'f str) -> Self {
        Self {
            documents: Vec::new(),
            report: Report::new(file),
            open: Vec::new(),
            anchors: HashMap::new(),
            size: Size::default(),
        }
    }

    fn take(&mut self, event: Event<'_>, line: u32) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err((line, "tags are not supported; quote a value to make it a text".to_owned()));
            }
            Event::Scalar(text, style, anchor, None) => {
                self.scalar(text.into_owned(), style != ScalarStyle::Plain, anchor, line)?;
            }
            Event::SequenceStart(anchor, None) => self.begin(line, anchor, Content::List(Vec::new()))?,
            Event::MappingStart(anchor, None) => {
                let content = Content::Map { entries: Vec::new(), seen: HashMap::new(), key: None };
                self.begin(line, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line)?,
            Event::Alias(anchor) => self.alias(anchor, line)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: String, quoted: bool, anchor: usize, line: u32) -> Result<(), Stop> {
        if self.awaits_key() {
            self.name(text, line);
            return Ok(());
        }
        let node = Node { line, value: Value::Scalar { text, quoted } };
        self.finish(node, anchor)
    }

    fn begin(&mut self, line: u32, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.awaits_key() {
            return Err((line, "a field's name must be a plain text".to_owned()));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err((line, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.open.push(Frame { line, anchor, content });
        Ok(())
    }

    fn end(&mut self, line: u32) -> Result<(), Stop> {
        let frame = self.open.pop().ok_or_else(|| (line, "an end without a beginning".to_owned()))?;
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(entries),
        };
        self.finish(Node { line: frame.line, value }, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, line: u32) -> Result<(), Stop> {
        if self.awaits_key() {
            return Err((line, "a field's name must be a plain text".to_owned()));
        }
        let Some(node) = self.anchors.get(&anchor) else {
            return Err((
                line,
                "an alias must come after the value it repeats, in the same document".to_owned(),
            ));
        };
        let size = measure(node);
        if self.open.len() + size.depth > MAX_DEPTH {
            return Err((line, format!("nested more than {MAX_DEPTH} deep")));
        }
        charge(&mut self.size, size, line)?;
        let node = node.clone();
        self.attach(node);
        Ok(())
    }

    /// Counts a value that is complete, remembers it for aliases and puts it where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        let bytes = if let Value::Scalar { text, .. } = &node.value { text.len() } else { 0 };
        charge(&mut self.size, Size { nodes: 1, bytes, depth: 0 }, node.line)?;
        if anchor > 0 {
            charge(&mut self.size, measure(&node), node.line)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node);
        Ok(())
    }

    fn attach(&mut self, node: Node) {
        match self.open.last_mut().map(|frame| &mut frame.content) {
            None => self.close(Some(node)),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key, .. }) => {
                if let Some(Key { name, line, refused: false }) = key.take() {
                    entries.push(Entry { name, line, node });
                }
            }
        }
    }

    /// Ends the document being read, with its tree unless it has none.
    fn close(&mut self, root: Option<Node>) {
        let next = Report::new(self.report.file());
        let report = std::mem::replace(&mut self.report, next);
        self.documents.push(Document { root, report });
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    fn name(&mut self, name: String, line: u32) {
        let Some(Frame { content: Content::Map { seen, key, .. }, .. }) = self.open.last_mut() else {
            return;
        };
        let reason = match (seen.insert(name.clone(), line), name.as_str()) {
            (Some(first), _) => Some(format!("given twice, first on line {first}")),
            (None, "<<") => Some("merging mappings is not supported; write the fields out".to_owned()),
            (None, _) => None,
        };
        *key = Some(Key { name, line, refused: reason.is_some() });
        if let Some(reason) = reason {
            self.report.add(line, &self.pointer(), reason);
        }
    }

    /// Where the value that comes next stands.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for frame in &self.open {
            match &frame.content {
                Content::List(items) => pointer = within(&pointer, items.len()),
                Content::Map { key: Some(key), .. } => pointer = below(&pointer, &key.name),
                Content::Map { key: None, .. } => {}
            }
        }
        pointer
    }
}

fn charge(so_far: &mut Size, more: Size, line: u32) -> Result<(), Stop> {
    so_far.nodes += more.nodes;
    so_far.bytes += more.bytes;
    if so_far.nodes > MAX_NODES || so_far.bytes > 2 * MAX_FILE {
        return Err((
            line,
            format!("more than {MAX_NODES} values or 2 MiB with aliases counted; split the file"),
        ));
    }
    Ok(())
}

/// What a copy of this value costs.
fn measure(node: &Node) -> Size {
    let mut size = Size { nodes: 1, bytes: 0, depth: 0 };
    let mut include = |child: &Node, name: &str| {
        let inner = measure(child);
        size.nodes += inner.nodes;
        size.bytes += inner.bytes + name.len();
        size.depth = size.depth.max(inner.depth);
    };
    match &node.value {
        Value::Scalar { text, .. } => return Size { bytes: text.len(), ..size },
        Value::List(items) => items.iter().for_each(|item| include(item, "")),
        Value::Map(entries) => entries.iter().for_each(|entry| include(&entry.node, &entry.name)),
    }
    size.depth += 1;
    size
}
