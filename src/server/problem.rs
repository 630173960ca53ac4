//! What this layer itself refuses before a request is routed, in the words of every other refusal.

use crate::error::ProblemType;
use crate::gateway::endpoint;

/// A request that is not let through, and why. Holds nothing of the request, so nothing can be echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    kind: ProblemType,
    detail: &'static str,
    line: usize,
}

impl Refusal {
    /// A malformed request: `invalid-request`, 400.
    pub(super) const fn invalid(detail: &'static str) -> Self {
        Self { kind: ProblemType::InvalidRequest, detail, line: 0 }
    }

    const fn too_large(detail: &'static str) -> Self {
        Self { kind: ProblemType::HeadersTooLarge, detail, line: 0 }
    }

    /// Says which line of the request head is meant; the request line is number one.
    pub(super) const fn at(mut self, line: usize) -> Self {
        self.line = line;
        self
    }

    /// One sentence for logs.
    pub(super) const fn detail(&self) -> &'static str {
        self.detail
    }

    /// The complete answer, but for what belongs to the connection.
    pub(super) fn response(&self) -> poem::Response {
        match self.line {
            0 => endpoint::refusal(self.kind, self.detail),
            line => {
                endpoint::refusal(self.kind, &format!("{} (line {line} of the request head)", self.detail))
            }
        }
    }
}

pub(super) const HEAD_TOO_LARGE: Refusal = Refusal::too_large("the request head is larger than the limit");
pub(super) const TOO_MANY_FIELDS: Refusal =
    Refusal::too_large("the request has more header fields than the limit");

/// The head did not arrive in time.
pub(super) const SLOW_HEAD: Refusal =
    Refusal { kind: ProblemType::RequestTimeout, detail: "the request head did not arrive in time", line: 0 };

/// The endpoint panicked: a fault of ours.
pub(super) const PANICKED: Refusal =
    Refusal { kind: ProblemType::Internal, detail: "an unexpected fault; it has been logged", line: 0 };
