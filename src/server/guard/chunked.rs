//! The chunked coding (RFC 9112 §7.1), followed byte by byte in its lines and skipped by count in its data.

use super::head::{is_control, is_token};
use crate::server::problem::Refusal;

/// Longest chunk-size line, extensions included.
const SIZE_LINE: usize = 1024;

/// Most bytes of trailer fields.
const TRAILERS: usize = 8 * 1024;

const SIZE: Refusal = Refusal::invalid("a chunk size is not a hexadecimal number");
const SIZE_OVERFLOW: Refusal = Refusal::invalid("a chunk size is too large");
const SIZE_LONG: Refusal = Refusal::invalid("a chunk size line is too long");
const EXTENSION: Refusal = Refusal::invalid("a chunk extension holds a control character");
const LINE_END: Refusal = Refusal::invalid("a line of the chunked body does not end with CR LF");
const DATA_END: Refusal = Refusal::invalid("a chunk is longer than its size says");
const TRAILER: Refusal = Refusal::invalid("a trailer field is malformed");
const TRAILERS_LARGE: Refusal = Refusal::invalid("the trailer fields are larger than the limit");

#[derive(Clone, Copy, Default)]
enum Step {
    #[default]
    FirstDigit,
    Digits,
    AfterSize,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// Where in a chunked body the next byte falls.
#[derive(Default)]
pub(super) struct Chunked {
    step: Step,
    remaining: u64,
    line: usize,
    trailers: usize,
}

impl Chunked {
    /// Takes as much as belongs to the body: how much, and whether it ended. On a refusal: how much was good.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), (usize, Refusal)> {
        let mut taken = 0;
        while taken < bytes.len() {
            if matches!(self.step, Step::Data) {
                let chunk = usize::try_from(self.remaining)
                    .map_or(bytes.len() - taken, |it| it.min(bytes.len() - taken));
                self.remaining -= chunk as u64;
                taken += chunk;
                if self.remaining == 0 {
                    self.step = Step::DataCr;
                }
                continue;
            }
            self.step = self.next(bytes[taken]).map_err(|refusal| (taken, refusal))?;
            taken += 1;
            if matches!(self.step, Step::End) {
                return Ok((taken, true));
            }
        }
        Ok((taken, false))
    }

    fn next(&mut self, byte: u8) -> Result<Step, Refusal> {
        match self.step {
            Step::FirstDigit | Step::Digits | Step::AfterSize | Step::Extension | Step::SizeLf => {
                self.size_line(byte)
            }
            Step::DataCr => expect(byte, b'\r', Step::DataLf, DATA_END),
            Step::DataLf => expect(byte, b'\n', Step::FirstDigit, DATA_END),
            Step::Data | Step::End => Ok(self.step),
            _ => self.trailer(byte),
        }
    }

    fn size_line(&mut self, byte: u8) -> Result<Step, Refusal> {
        self.line += 1;
        if self.line > SIZE_LINE {
            return Err(SIZE_LONG);
        }
        match (self.step, byte) {
            (Step::SizeLf, b'\n') => {
                self.line = 0;
                Ok(if self.remaining == 0 { Step::TrailerStart } else { Step::Data })
            }
            (Step::SizeLf, _) | (_, b'\n') => Err(LINE_END),
            (Step::FirstDigit | Step::Digits, _) if byte.is_ascii_hexdigit() => self.digit(byte),
            (Step::FirstDigit, _) => Err(SIZE),
            (_, b'\r') => Ok(Step::SizeLf),
            (Step::Extension, _) if is_control(byte) => Err(EXTENSION),
            (Step::Extension, _) | (_, b';') => Ok(Step::Extension),
            (_, b' ' | b'\t') => Ok(Step::AfterSize),
            _ => Err(SIZE),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<Step, Refusal> {
        let digit = char::from(byte).to_digit(16).ok_or(SIZE)?;
        let size = self.remaining.checked_mul(16).and_then(|it| it.checked_add(u64::from(digit)));
        self.remaining = size.filter(|it| i64::try_from(*it).is_ok()).ok_or(SIZE_OVERFLOW)?;
        Ok(Step::Digits)
    }

    fn trailer(&mut self, byte: u8) -> Result<Step, Refusal> {
        self.trailers += 1;
        if self.trailers > TRAILERS {
            return Err(TRAILERS_LARGE);
        }
        match (self.step, byte) {
            (Step::TrailerStart, b'\r') => Ok(Step::EndLf),
            (Step::TrailerStart | Step::TrailerName, _) if is_token(byte) => Ok(Step::TrailerName),
            (Step::TrailerName, b':') => Ok(Step::TrailerValue),
            (Step::TrailerValue, b'\r') => Ok(Step::TrailerLf),
            (Step::TrailerValue, _) if !is_control(byte) => Ok(Step::TrailerValue),
            (Step::TrailerLf, b'\n') => Ok(Step::TrailerStart),
            (Step::EndLf, b'\n') => Ok(Step::End),
            (_, b'\n') | (Step::TrailerLf | Step::EndLf, _) => Err(LINE_END),
            _ => Err(TRAILER),
        }
    }
}

fn expect(byte: u8, wanted: u8, next: Step, refusal: Refusal) -> Result<Step, Refusal> {
    if byte == wanted { Ok(next) } else { Err(refusal) }
}
