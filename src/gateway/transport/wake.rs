//! The waker of a connection that is polled inside its call's own task.
//!
//! hyper's connection, the response it will send us and the body it fills talk over channels that wake one another.
//! Usually those are different tasks; here all of them are this one, which is running at that moment, so each wake-up
//! would only make the runtime poll the whole call again for nothing. Wake-ups from the network must pass; those from
//! inside `quietly` are dropped.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

thread_local! {
    /// This thread is inside [`quietly`]. A wake-up from the network cannot come from here: the runtime's driver
    /// does not run while a task of the same thread does.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Wakes whichever task holds a connection at the moment.
pub(super) struct ConnectionWaker {
    holder: Arc<Holder>,
    /// One for the life of the connection, so that the socket does not replace it from call to call.
    waker: Waker,
}

#[derive(Default)]
struct Holder(AtomicWaker);

impl Wake for Holder {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !QUIET.get() {
            self.0.wake();
        }
    }
}

impl ConnectionWaker {
    pub(super) fn new() -> Self {
        let holder = Arc::<Holder>::default();
        Self { waker: Waker::from(Arc::clone(&holder)), holder }
    }

    /// Polls a connection for the task of `context`.
    pub(super) fn poll<T>(
        &self,
        context: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.holder.0.register(context.waker());
        poll(&mut Context::from_waker(&self.waker))
    }

    /// Forgets the task: nobody waits for an idle connection.
    pub(super) fn release(&self) {
        self.holder.0.take();
    }
}

/// Runs `call`, dropping what it would wake. The caller polls the connection before it next waits.
pub(super) fn quietly<T>(call: impl FnOnce() -> T) -> T {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            QUIET.set(false);
        }
    }
    QUIET.set(true);
    let _loud = Loud;
    call()
}
