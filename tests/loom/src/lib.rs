//! The breaker's admission and settlement under loom, which runs every interleaving of a few threads: at most N
//! probes, no effect of an older permit, a ledger that adds up.

/// The compiled policy, as shipped.
#[path = "../../../src/models"]
pub mod models {
    pub mod policy;
    pub mod principal;
}

/// The breaker's files, as shipped: the same list as in `src/gateway/breaker.rs`.
#[path = "../../../src/gateway/breaker"]
pub mod breaker {
    mod circuit;
    mod clock;
    mod control;
    mod events;
    mod front;
    mod ledger;
    mod machine;
    mod permit;
    mod settlement;
    mod streak;
    mod sync;
    mod transitions;
    mod window;

    pub use self::circuit::Rejected;
    pub use self::control::{Mode, State};
    pub use self::events::{Event, Reason, Sink};
    pub use self::front::{Breaker, View};
    pub use self::ledger::Ledger;
    pub use self::permit::{Outcome, Permit};
    pub use self::sync::set_modelled_time;
}
