//! What one connection is doing, shared by its socket, its calls and the task that drives it.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

use super::Limits;
use super::problem::Refusal;

/// How long input is read and dropped after our last word, so that a reset does not overtake it.
const LINGER: Duration = Duration::from_secs(1);

/// Once the door is closed: how long a caller that was not told so may still ask, from connecting or from its last answer.
/// A client that asks again at once after an answer that began before the drain would else race with our closing.
pub(super) const LAST_WORD: Duration = Duration::from_secs(1);

/// What must happen to a connection when its deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A request head took too long: it is answered with 408.
    SlowHead,
    /// Nothing was asked for too long: it is closed with good manners.
    Idle,
    /// It does not let itself be closed: it is dropped.
    Over,
}

struct State {
    calls: u64,
    in_flight: u32,
    quiet_since: Instant,
    head_since: Option<Instant>,
    stalled_since: Option<Instant>,
    leaving_since: Option<Instant>,
    leaves_when_quiet: bool,
    lingering_since: Option<Instant>,
    refused: Option<(u64, Refusal)>,
    body_fault: Option<Refusal>,
}

/// One connection's shared state.
pub(super) struct Activity {
    state: Mutex<State>,
    slow_head: AtomicBool,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            calls: 0,
            in_flight: 0,
            quiet_since: Instant::now(),
            head_since: None,
            stalled_since: None,
            leaving_since: None,
            leaves_when_quiet: false,
            lingering_since: None,
            refused: None,
            body_fault: None,
        };
        Arc::new(Self { state: Mutex::new(state), slow_head: AtomicBool::new(false) })
    }

    /// When something must be done, and what. `None` while a call is in flight: its own limits apply.
    pub(super) fn due(&self, limits: &Limits) -> Option<(Instant, Due)> {
        let state = self.state.lock();
        if let Some(since) = state.lingering_since {
            return Some((since + LINGER, Due::Over));
        }
        if let Some(since) = state.stalled_since {
            return Some((since + limits.idle, Due::Over));
        }
        if state.in_flight > 0 {
            return None;
        }
        let after = |since: Instant| since.max(state.quiet_since) + limits.header_read;
        let idle = if state.leaves_when_quiet { limits.idle.min(LAST_WORD) } else { limits.idle };
        match (state.leaving_since, state.head_since) {
            (Some(since), _) => Some((after(since), Due::Over)),
            (None, Some(since)) => Some((after(since), Due::SlowHead)),
            (None, None) => Some((state.quiet_since + idle, Due::Idle)),
        }
    }

    /// Notes that a request head has begun and is not complete, or that none is.
    pub(super) fn head_pending(&self, pending: bool) {
        self.state.lock().head_since = pending.then(Instant::now);
    }

    /// Notes that the peer does not take what we write, or takes it again.
    pub(super) fn write_stalled(&self, stalled: bool) {
        self.state.lock().stalled_since = stalled.then(Instant::now);
    }

    /// From now on the connection finishes what is in flight and goes.
    pub(super) fn leave(&self) {
        self.state.lock().leaving_since.get_or_insert_with(Instant::now);
    }

    /// From now on the connection goes when nothing was asked for a moment.
    pub(super) fn leave_when_quiet(&self) {
        self.state.lock().leaves_when_quiet = true;
    }

    /// Our side is shut; what still comes in is dropped for a moment.
    pub(super) fn linger(&self) {
        self.state.lock().lingering_since.get_or_insert_with(Instant::now);
    }

    /// Gives the pending head up: the socket puts a refusal in its place.
    pub(super) fn give_up_head(&self) {
        self.slow_head.store(true, Ordering::Relaxed);
        self.leave();
    }

    pub(super) fn gave_up_head(&self) -> bool {
        self.slow_head.load(Ordering::Relaxed)
    }

    /// The call with this number (from one) stands for a request that was refused.
    pub(super) fn refuse(&self, call: u64, refusal: Refusal) {
        self.state.lock().refused = Some((call, refusal));
    }

    /// The body that is being read broke off.
    pub(super) fn break_body(&self, refusal: Refusal) {
        self.state.lock().body_fault = Some(refusal);
    }

    pub(super) fn body_fault(&self) -> Option<Refusal> {
        self.state.lock().body_fault
    }
}

/// A call in flight on a connection, until dropped.
pub(super) struct Call(Arc<Activity>);

impl Call {
    /// Counts the call, and says whether it stands for a refused request.
    pub(super) fn begin(activity: &Arc<Activity>) -> (Self, Option<Refusal>) {
        let mut state = activity.state.lock();
        state.calls += 1;
        state.in_flight += 1;
        let refusal = state.refused.filter(|(call, _)| *call == state.calls).map(|(_, refusal)| refusal);
        drop(state);
        (Self(Arc::clone(activity)), refusal)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.in_flight -= 1;
        state.quiet_since = Instant::now();
    }
}
