//! Holds answers until told, so that a test decides what is in flight at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// A closed gate. Clones share it.
#[derive(Clone)]
pub(crate) struct Gate {
    passes: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// Counts one as waiting for as long as it lives, also when its connection is dropped meanwhile.
struct Waiting<'a>(&'a AtomicUsize);

impl Gate {
    /// A gate nobody gets through yet.
    pub(crate) fn closed() -> Self {
        Self { passes: Arc::new(Semaphore::new(0)), waiting: Arc::default() }
    }

    /// How many stand before it.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Lets this many through, now or when they come.
    pub(crate) fn let_through(&self, count: usize) {
        self.passes.add_permits(count);
    }

    /// Lets everybody through from now on.
    pub(crate) fn open(&self) {
        self.passes.close();
    }

    pub(super) async fn pass(&self) {
        let _waiting = Waiting::new(&self.waiting);
        // The error of a closed semaphore is the gate standing open.
        if let Ok(pass) = self.passes.acquire().await {
            pass.forget();
        }
    }
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
