//! The task of one HTTP/2 stream, ended when its caller takes nothing of its answer for too long.
//!
//! A caller can leave a stream's window shut and yet keep its connection alive. Then nothing asks the answer's body
//! for more, so no deadline of the body's own can pass, and whatever the body holds would be held for ever. (Over
//! HTTP/1 the socket notices, see [`Activity::write_stalled`](super::activity::Activity::write_stalled).)

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Sleep, sleep};
use tokio_util::task::TaskTracker;

tokio::task_local! {
    /// The turn of the stream whose task this is.
    static TURN: Turn;
}

/// Runs the streams of HTTP/2 connections as tracked tasks.
#[derive(Clone)]
pub(super) struct Streams {
    tracker: TaskTracker,
    patience: Duration,
}

impl Streams {
    /// A caller must take a piece of an answer (16 KiB) at least every `patience`.
    pub(super) fn new(tracker: TaskTracker, patience: Duration) -> Self {
        Self { tracker, patience }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (turn, patience) = (Turn::default(), self.patience);
        self.tracker.spawn(Watched { stream: Box::pin(stream), turn, patience, stalled: None });
    }
}

/// What became of a stream's answer when the stream last moved: it tells whom the stream waits for.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<AtomicU8>);

/// No answer has begun.
const NONE: u8 = 0;
/// The body has brought something, which is being sent.
const SENDING: u8 = 1;
/// The body was asked for more, and has none yet.
const WAITING: u8 = 2;
/// The body was not asked since the stream last moved.
const UNASKED: u8 = 3;

impl Turn {
    /// That of the stream whose task this is; over HTTP/1 there is none.
    pub(super) fn of_this_stream() -> Option<Self> {
        TURN.try_with(Self::clone).ok()
    }

    /// The body was asked for more: it has none yet, or brought some.
    pub(super) fn asked(&self, waits: bool) {
        self.0.store(if waits { WAITING } else { SENDING }, Ordering::Relaxed);
    }
}

struct Watched<F> {
    stream: Pin<Box<F>>,
    turn: Turn,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let state = &this.turn.0;
        if state.load(Ordering::Relaxed) != NONE {
            state.store(UNASKED, Ordering::Relaxed);
        }
        let (turn, stream) = (this.turn.clone(), &mut this.stream);
        if TURN.sync_scope(turn, || stream.as_mut().poll(context)).is_ready() {
            return Poll::Ready(());
        }
        let state = this.turn.0.load(Ordering::Relaxed);
        if state != UNASKED {
            this.stalled = None;
        }
        if state == NONE || state == WAITING {
            return Poll::Pending;
        }
        let patience = this.patience;
        // When it is over, the stream is dropped with its answer, and so reset.
        this.stalled.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(context)
    }
}
