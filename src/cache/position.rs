//! Where in the invalidation log something stands.

use std::fmt::{Display, Formatter};

/// Bits of an id that count entries within one millisecond. The other 42 reach to the year 2109.
const SEQUENCE_BITS: u32 = 22;

/// The id of a log entry, `milliseconds-sequence`, in one word so that it can be compared and stored at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(super) struct LogId(u64);

impl LogId {
    /// Reads a stream id; `None` for what Redis cannot have made by itself.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (milliseconds, sequence) = text.split_once('-')?;
        let (milliseconds, sequence) = (milliseconds.parse::<u64>().ok()?, sequence.parse::<u64>().ok()?);
        let fits = milliseconds < 1 << (u64::BITS - SEQUENCE_BITS) && sequence < 1 << SEQUENCE_BITS;
        fits.then_some(Self(milliseconds << SEQUENCE_BITS | sequence))
    }

    /// When it was written, by Redis's clock: milliseconds of Unix time.
    pub(super) fn milliseconds(self) -> u64 {
        self.0 >> SEQUENCE_BITS
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

impl Display for LogId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.0 >> SEQUENCE_BITS, self.0 & ((1 << SEQUENCE_BITS) - 1))
    }
}

/// A place in one life of the log. With another epoch it is another log, and ids tell nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Which log; 0 before the first contact.
    pub(super) epoch: u64,
    /// The last entry that was applied.
    pub(super) id: LogId,
}

/// What a process had applied at some time: of its own purges and others' by its own count, and of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Moment {
    pub(super) number: u64,
    pub(super) at: Position,
}

/// Where an answer came from, and how much was known of purges when its exchange with the upstream began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This process fetched it.
    Here(Moment),
    /// Another one did; only the log can tell what came after.
    Elsewhere {
        /// How far that one had applied the log.
        at: Position,
        /// The purges known here when it came.
        placed: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_print_and_compare_as_redis_does() {
        let id = |text: &str| LogId::parse(text).unwrap();
        assert_eq!(id("1764238521123-4").to_string(), "1764238521123-4");
        assert!(id("1764238521123-4") < id("1764238521123-10"));
        assert!(id("1764238521123-10") < id("1764238521124-0"));
        assert_eq!(id("0-0"), LogId::default());
        for wrong in ["", "1", "-", "a-1", "1-a", "1-4194304", "18446744073709551615-0"] {
            assert_eq!(LogId::parse(wrong), None, "{wrong}");
        }
    }
}
