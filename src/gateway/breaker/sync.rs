//! The atomics, locks and lanes the breaker is built on. Under `cfg(loom)` (set for the crate in `tests/loom`
//! alone) they are the model checker's, so that the very code that ships is what it explores.

pub(super) use self::chosen::{AtomicU64, Mutex, Slot, fence, lane, lanes};
pub(super) use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

#[cfg(loom)]
pub use self::chosen::{modelled_time, set_modelled_time};

/// Fills a cache line (and the one its neighbour prefetches) so that lanes do not disturb each other.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Padded<T>(pub(super) T);

#[cfg(not(loom))]
mod chosen {
    use std::sync::Arc;

    pub(in super::super) use parking_lot::Mutex;
    pub(in super::super) use std::sync::atomic::{AtomicU64, fence};

    /// A value that is read all the time and replaced now and then.
    pub(in super::super) struct Slot<T>(arc_swap::ArcSwap<T>);

    impl<T> Slot<T> {
        pub(in super::super) fn new(value: T) -> Slot<T> {
            Slot(arc_swap::ArcSwap::from_pointee(value))
        }

        pub(in super::super) fn load(&self) -> arc_swap::Guard<Arc<T>> {
            self.0.load()
        }

        pub(in super::super) fn store(&self, value: T) {
            self.0.store(Arc::new(value));
        }
    }

    /// How many lanes a breaker has: a power of two near the number of cores, 16 at most.
    pub(in super::super) fn lanes() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(16)
    }

    /// The lane of this thread among `lanes` (a power of two).
    pub(in super::super) fn lane(lanes: usize) -> usize {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static MINE: usize = NEXT.fetch_add(1, Relaxed));
        MINE.try_with(|mine| *mine).unwrap_or(0) & (lanes - 1)
    }
}

#[cfg(loom)]
mod chosen {
    use std::cell::Cell;
    use std::sync::Arc;

    pub(in super::super) use loom::sync::atomic::{AtomicU64, fence};

    /// `parking_lot`'s face on loom's lock.
    pub(in super::super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(in super::super) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(in super::super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no test panics with the lock held")
        }
    }

    /// The same promise as the real one, by a lock.
    pub(in super::super) struct Slot<T>(Mutex<Arc<T>>);

    impl<T> Slot<T> {
        pub(in super::super) fn new(value: T) -> Slot<T> {
            Slot(Mutex::new(Arc::new(value)))
        }

        pub(in super::super) fn load(&self) -> Arc<T> {
            Arc::clone(&self.0.lock())
        }

        pub(in super::super) fn store(&self, value: T) {
            *self.0.lock() = Arc::new(value);
        }
    }

    pub(in super::super) fn lanes() -> usize {
        2
    }

    pub(in super::super) fn lane(lanes: usize) -> usize {
        loom::thread_local!(static MINE: Cell<usize> = Cell::new(thread_number()));
        MINE.with(Cell::get) & (lanes - 1)
    }

    fn thread_number() -> usize {
        let id = format!("{:?}", loom::thread::current().id());
        id.chars().filter_map(|c| c.to_digit(10)).fold(0, |number, digit| number * 10 + digit as usize)
    }

    // Loom runs all its threads on one thread of the system, so this is one time for the whole model.
    thread_local!(static TIME: Cell<u64> = const { Cell::new(0) });

    /// The model's time, nanoseconds.
    pub fn modelled_time() -> u64 {
        TIME.get()
    }

    /// Sets the model's time, nanoseconds.
    pub fn set_modelled_time(nanos: u64) {
        TIME.set(nanos);
    }
}
