//! The wire guard: reads along with every HTTP/1 request and refuses what two parsers could read differently.
//!
//! The HTTP library takes `Transfer-Encoding` over a `Content-Length` beside it, equal lengths said twice, and
//! lines that end in LF alone. Each is a way to smuggle a request past whoever stands in front of us, so it is
//! judged here, before the library sees a byte of the head (RFC 9112 §2.2, §5.1, §6.3, §11.2).

mod chunked;
mod head;
#[cfg(test)]
mod tests;

use super::problem::Refusal;
use chunked::Chunked;
use head::Head;

/// How a request's body is delimited.
#[derive(Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

/// Where in the stream of requests the next byte falls.
enum Place {
    Head(Head),
    Body(u64),
    Chunked(Chunked),
}

/// What was wrong, and whether the request had been let through when it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Head(Refusal),
    Body(Refusal),
}

/// The judgement on some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// How many of them may go on. The rest begins a head that is not complete: it must be kept and shown again,
    /// with what arrived behind it.
    pub(super) passed: usize,
    /// Why nothing further may go on.
    pub(super) fault: Option<Fault>,
}

/// Follows the framing of one HTTP/1 connection's inbound bytes.
pub(super) struct Guard {
    head_bytes: usize,
    head_fields: usize,
    place: Place,
    heads: u64,
}

impl Guard {
    /// `head_bytes` bounds a whole request head, `head_fields` the number of its fields.
    pub(super) fn new(head_bytes: usize, head_fields: usize) -> Self {
        Self { head_bytes, head_fields, place: Place::Head(Head::default()), heads: 0 }
    }

    /// How many request heads have been let through.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// True while a request head has begun and is not complete.
    pub(super) fn in_head(&self) -> bool {
        matches!(&self.place, Place::Head(head) if head.has_begun())
    }

    /// True while the body of a request is not complete.
    pub(super) fn in_body(&self) -> bool {
        !matches!(self.place, Place::Head(_))
    }

    /// Judges what arrived, beginning with whatever an earlier verdict did not pass.
    pub(super) fn judge(&mut self, bytes: &[u8]) -> Verdict {
        let mut passed = 0;
        while passed < bytes.len() {
            match self.step(&bytes[passed..]) {
                Ok(0) => break,
                Ok(more) => passed += more,
                Err((more, fault)) => return Verdict { passed: passed + more, fault: Some(fault) },
            }
        }
        Verdict { passed, fault: None }
    }

    /// Takes one head, or as much as there is of one body.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, (usize, Fault)> {
        let (taken, next) = match &mut self.place {
            Place::Head(head) => {
                match head
                    .read(bytes, self.head_bytes, self.head_fields)
                    .map_err(|it| (0, Fault::Head(it)))?
                {
                    None => return Ok(0),
                    Some((taken, framing)) => {
                        self.heads += 1;
                        (taken, Some(Place::after_head(framing)))
                    }
                }
            }
            Place::Body(remaining) => {
                let taken = usize::try_from(*remaining).map_or(bytes.len(), |it| it.min(bytes.len()));
                *remaining -= taken as u64;
                (taken, (*remaining == 0).then(Place::between))
            }
            Place::Chunked(chunked) => {
                let (taken, ended) =
                    chunked.read(bytes).map_err(|(taken, refusal)| (taken, Fault::Body(refusal)))?;
                (taken, ended.then(Place::between))
            }
        };
        if let Some(next) = next {
            self.place = next;
        }
        Ok(taken)
    }
}

impl Place {
    fn between() -> Self {
        Self::Head(Head::default())
    }

    fn after_head(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::between(),
            Framing::Length(length) => Self::Body(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
        }
    }
}
