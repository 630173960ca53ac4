//! Which traces are recorded: as the caller decided, or all, none, or a share of those that begin here.

use opentelemetry::trace::TraceId;

use super::context::SpanPlace;

/// The names of `OTEL_TRACES_SAMPLER` that are understood.
pub(super) const NAMES: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampler {
    follows_parent: bool,
    /// Of 2^63.
    threshold: u64,
}

const ALL: u64 = 1 << 63;

impl Sampler {
    /// Follows the caller, and records all that begins here: the standard's default.
    pub(super) const DEFAULT: Self = Self { follows_parent: true, threshold: ALL };

    /// By its standard name; the ratio counts for those that have one.
    pub(super) fn named(name: &str, ratio: f64) -> Option<Self> {
        let (follows_parent, own) =
            name.strip_prefix("parentbased_").map_or((false, name), |own| (true, own));
        let threshold = match own {
            "always_on" => ALL,
            "always_off" => 0,
            "traceidratio" => (ratio.clamp(0.0, 1.0) * ALL as f64) as u64,
            _ => return None,
        };
        Some(Self { follows_parent, threshold })
    }

    pub(super) fn decides_on(self, trace: TraceId, parent: Option<SpanPlace>) -> bool {
        match parent {
            Some(parent) if self.follows_parent => parent.is_sampled(),
            // The low 63 bits of the id, as every implementation compares them: all then choose the same traces.
            _ => low_bits(trace) >> 1 < self.threshold,
        }
    }
}

fn low_bits(trace: TraceId) -> u64 {
    u128::from_be_bytes(trace.to_bytes()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of ten thousand traces.
    fn chosen(sampler: Sampler, parent: Option<SpanPlace>) -> usize {
        (0..10_000).filter(|_| sampler.decides_on(SpanPlace::root().trace, parent)).count()
    }

    #[test]
    fn a_ratio_chooses_its_share_of_what_begins_here() {
        let sampler = Sampler::named("parentbased_traceidratio", 0.25).unwrap();
        assert!((2200..2800).contains(&chosen(sampler, None)));
        assert_eq!(chosen(Sampler::named("always_off", 1.0).unwrap(), None), 0);
        assert_eq!(chosen(Sampler::DEFAULT, None), 10_000);
    }

    #[test]
    fn the_callers_decision_counts_where_the_name_says_so() {
        let sampled = SpanPlace::root().sampled(true);
        let parent_based = Sampler::named("parentbased_traceidratio", 0.0).unwrap();
        assert_eq!(chosen(parent_based, Some(sampled)), 10_000);
        assert_eq!(chosen(Sampler::DEFAULT, Some(sampled.sampled(false))), 0);
        assert_eq!(chosen(Sampler::named("traceidratio", 0.0).unwrap(), Some(sampled)), 0);
    }

    #[test]
    fn the_same_trace_is_judged_the_same_everywhere() {
        let half = Sampler::named("traceidratio", 0.5).unwrap();
        let trace = |low: u64| TraceId::from((7_u128 << 64) | u128::from(low));
        assert!(half.decides_on(trace((1 << 63) - 1), None) && !half.decides_on(trace(1 << 63), None));
    }

    #[test]
    fn every_name_is_known() {
        assert!(NAMES.iter().all(|name| Sampler::named(name, 1.0).is_some()));
        assert_eq!(Sampler::named("parentbased_jaeger_remote", 1.0), None);
    }
}
