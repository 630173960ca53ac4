//! Problem types as label values: what callers were told when Levee itself answered.

use super::counts::Counts;
use super::families::Samples;
use super::labels::Label;
use crate::error::ProblemType;

/// Where requests are counted that were refused before they became calls. No upstream can have this name.
pub(super) const NO_UPSTREAM: &str = "";

/// What a call to a known upstream can be told; these series exist from its registration.
const OF_CALLS: [ProblemType; 13] = [
    ProblemType::InvalidRequest,
    ProblemType::PayloadTooLarge,
    ProblemType::TooManyConcurrent,
    ProblemType::CircuitOpen,
    ProblemType::QuotaExhausted,
    ProblemType::Overloaded,
    ProblemType::CredentialsMissing,
    ProblemType::UpstreamTimeout,
    ProblemType::OnlyIfCached,
    ProblemType::UpstreamUnreachable,
    ProblemType::UpstreamProtocol,
    ProblemType::DestinationRefused,
    ProblemType::Internal,
];

/// What a request can be told before it is a call; these series exist from the start.
const OF_STRANGERS: [ProblemType; 9] = [
    ProblemType::InvalidRequest,
    ProblemType::Unauthorized,
    ProblemType::Forbidden,
    ProblemType::UnknownUpstream,
    ProblemType::MethodNotAllowed,
    ProblemType::PayloadTooLarge,
    ProblemType::HeadersTooLarge,
    ProblemType::NotSupported,
    ProblemType::LoopDetected,
];

impl Label for ProblemType {
    const COUNT: usize = Self::ALL.len();

    fn at(index: usize) -> Self {
        Self::ALL[index]
    }

    fn index(self) -> usize {
        self as usize
    }

    fn texts(self) -> Vec<&'static str> {
        vec![self.slug()]
    }
}

/// Answers that Levee made itself, by problem type.
pub(super) type Problems = Counts<ProblemType>;

/// Those of an upstream.
pub(super) fn of_calls(samples: &mut Samples, upstream: &str, problems: &Problems) {
    collect(samples, upstream, problems, &OF_CALLS);
}

/// Those of requests that never became calls.
pub(super) fn of_strangers(samples: &mut Samples, problems: &Problems) {
    collect(samples, NO_UPSTREAM, problems, &OF_STRANGERS);
}

fn collect(samples: &mut Samples, upstream: &str, problems: &Problems, from_the_start: &[ProblemType]) {
    for (problem, count) in problems.read() {
        if count > 0 || from_the_start.contains(&problem) {
            samples.count(&[upstream, problem.slug()], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_type_has_the_cell_of_its_place_in_the_list() {
        for (place, problem) in ProblemType::ALL.into_iter().enumerate() {
            assert_eq!((problem.index(), ProblemType::at(place)), (place, problem));
        }
    }
}
