//! How long something is to last, as every duration of Levee is written: `90s`, `15m`, `12h`, `30d`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::ApiError;
use crate::error::Failure;
use crate::models::decode::quantity::parse_duration;

/// The duration that `expiresIn` says; `bounds` in words are for whoever wrote another.
pub(super) fn expires_in(
    text: &str,
    bounds: &RangeInclusive<Duration>,
    in_words: &str,
) -> Result<Duration, ApiError> {
    let lasts = parse_duration(text).filter(|lasts| bounds.contains(lasts));
    lasts.ok_or_else(|| Failure::invalid("/expiresIn", format!("must be a duration {in_words}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_within_its_bounds_and_the_bounds_are_told() {
        let bounds = Duration::from_secs(1)..=Duration::from_secs(86_400);
        let read = |text| expires_in(text, &bounds, "from `1s` to `1d`");
        assert_eq!(read("1d").unwrap(), Duration::from_secs(86_400));
        for other in ["", "7", "0s", "999ms", "25h", "-1s", "P1D", "99999999999999999999d"] {
            let ApiError(failure) = read(other).unwrap_err();
            assert_eq!(failure.faults()[0].pointer, "/expiresIn", "{other}");
            assert_eq!(failure.faults()[0].detail, "must be a duration from `1s` to `1d`");
        }
    }
}
