//! Durations, sizes and numbers.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Place;
use super::text::shown;
use crate::models::policy::Rate;

/// One millisecond, the least a time limit can be.
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
/// One hour.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// One day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// 1024 bytes.
pub(crate) const KIB: u64 = 1 << 10;
/// 1024 KiB.
pub(crate) const MIB: u64 = 1 << 20;
/// 1024 MiB.
pub(crate) const GIB: u64 = 1 << 30;

const DURATION_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1_000)];
const RATE_UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
const MOST_PER_UNIT: u64 = 1_000_000;
const SIZE_UNITS: &[(&str, u64)] = &[("GiB", GIB), ("MiB", MIB), ("KiB", KIB)];

impl Place<'_> {
    /// A duration such as `250ms`, `1.5s`, `5m`, `1h`, `7d`.
    pub(crate) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let (text, _) = self.scalar()?;
        let Some(duration) = parse_duration(text) else {
            self.refuse(format!("`{}` is not a duration such as `250ms`, `2s`, `5m`, `1h`", shown(text)));
            return None;
        };
        self.within_bounds(duration, bounds, show_duration)
    }

    /// A size in bytes such as `64KiB`, `10MiB` or a plain number of bytes.
    pub(crate) fn size(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let (text, _) = self.scalar()?;
        let Some(size) = parse_size(text) else {
            self.refuse(format!("`{}` is not a size such as `64KiB`, `10MiB` or bytes", shown(text)));
            return None;
        };
        self.within_bounds(size, bounds, show_size)
    }

    /// A rate such as `100/s`, `600/m`, `5000/h`, `100000/d`.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let text = self.text(16)?;
        let Some((count, per)) = parse_rate(text) else {
            self.refuse(format!("`{}` is not a rate such as `100/s`, `600/m`, `5000/h`", shown(text)));
            return None;
        };
        let count = self.within_bounds(count, 1..=MOST_PER_UNIT, |bound| bound.to_string())?;
        Some(Rate { count: u32::try_from(count).ok()?, per })
    }

    /// A whole number.
    pub(crate) fn integer(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let number = match self.scalar()? {
            (text, false) if is_digits(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.refuse("must be a whole number, without quotes");
            return None;
        };
        self.within_bounds(number, bounds, |bound| bound.to_string())
    }

    /// A whole number that counts things in memory.
    pub(crate) fn count(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let number = self.integer(u64::from(*bounds.start())..=u64::from(*bounds.end()))?;
        u32::try_from(number).ok()
    }

    /// A number, perhaps with a fraction.
    pub(crate) fn number(&self, bounds: RangeInclusive<f64>) -> Option<f64> {
        let number = match self.scalar()? {
            (text, false) if looks_like_number(text) => {
                text.parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        };
        let Some(number) = number else {
            self.refuse("must be a number, without quotes");
            return None;
        };
        self.within_bounds(number, bounds, |bound| bound.to_string())
    }

    /// A share above 0 and up to 1.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let ratio = self.number(0.0..=1.0)?;
        if ratio == 0.0 {
            self.refuse("must be above 0: at 0 every call would count as too many");
            return None;
        }
        Some(ratio)
    }

    fn within_bounds<T: PartialOrd + Copy>(
        &self,
        value: T,
        bounds: RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> Option<T> {
        if &value < bounds.start() {
            self.refuse(format!("must be at least {}", show(*bounds.start())));
            return None;
        }
        if &value > bounds.end() {
            self.refuse(format!("must be at most {}", show(*bounds.end())));
            return None;
        }
        Some(value)
    }
}

/// A duration in the notation it is read in, the largest unit that leaves no remainder.
pub(crate) fn show_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let by_size = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    by_size.iter().find(|(_, length)| milliseconds > 0 && milliseconds.is_multiple_of(*length)).map_or_else(
        || format!("{milliseconds}ms"),
        |(unit, length)| format!("{}{unit}", milliseconds / length),
    )
}

/// A size in the notation it is read in.
pub(crate) fn show_size(size: u64) -> String {
    SIZE_UNITS.iter().find(|(_, length)| size > 0 && size.is_multiple_of(*length)).map_or_else(
        || format!("{size} byte{}", if size == 1 { "" } else { "s" }),
        |(unit, length)| format!("{}{unit}", size / length),
    )
}

/// Whether the core schema reads this plain scalar as a number.
pub(in crate::models) fn looks_like_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix: &str, base: u32| {
        let digits = text.strip_prefix(prefix);
        digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base)))
    };
    let special = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    special
        || radix("0x", 16)
        || radix("0o", 8)
        || unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
            && text.parse::<f64>().is_ok()
}

/// A duration such as `250ms`, `1.5s` or `2h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, length) =
        DURATION_UNITS.iter().find_map(|(unit, length)| Some((text.strip_suffix(unit)?, *length)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !is_digits(whole) || !is_digits(fraction) || whole.len() > 9 || fraction.len() > 3 {
        return None;
    }
    let thousandths = whole.parse::<u64>().ok()? * 1000 + format!("{fraction:0<3}").parse::<u64>().ok()?;
    Some(Duration::from_micros(thousandths.checked_mul(length)?))
}

fn parse_rate(text: &str) -> Option<(u64, Duration)> {
    let (count, unit) = text.split_once('/')?;
    let (_, seconds) = RATE_UNITS.iter().find(|(name, _)| *name == unit)?;
    let count = if is_digits(count) { count.parse().ok()? } else { return None };
    Some((count, Duration::from_secs(*seconds)))
}

fn parse_size(text: &str) -> Option<u64> {
    let with_unit = SIZE_UNITS.iter().find_map(|(unit, length)| Some((text.strip_suffix(unit)?, *length)));
    let (number, length) = with_unit.unwrap_or((text, 1));
    if !is_digits(number) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(length)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
