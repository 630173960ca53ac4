//! The circuit breaker of one upstream: it stops calls to what is failing, and finds out when to resume.
//!
//! Admission, the window, permits, the clock and events are ours; `failsafe`'s state machine makes every transition
//! with us, and a debug build asserts after each that it stands where we say. A closed breaker admits with one
//! atomic load. What a call writes lies in its thread's lane: calls on different cores do not wait for each other.
//!
//! A permit belongs to the *epoch* it was given in, and every transition starts a new epoch: a verdict that comes
//! back in a later one is counted in the ledger and changes nothing else.

/// The control word that decides admission.
mod control;

/// The closed, open, half-open states as `failsafe` sees them.
mod machine;

/// Counts of the last while, or of the last so many calls.
mod window;

/// Transport failures in a row, and from how many callers.
mod streak;

/// Where every call that ever asked went.
mod ledger;

/// What happened, in order, to whoever listens.
mod events;

/// Everything one breaker consists of, and admission.
mod circuit;

/// What changes the state, one at a time.
mod transitions;

/// What a finished call does.
mod settlement;

/// The right to make one call.
mod permit;

/// The face callers and operators use.
mod front;

/// Time on tokio's clock.
mod clock;

/// Atomics and locks, exchangeable for a model checker's.
mod sync;

#[cfg(test)]
mod tests;

pub use self::circuit::Rejected;
pub use self::control::{Mode, State};
pub use self::events::{Event, Reason, Sink};
pub use self::front::{Breaker, View};
pub use self::ledger::Ledger;
pub use self::permit::{Outcome, Permit};
