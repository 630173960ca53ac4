//! Stage 5: one flight for many waiters.
//!
//! A flight runs in a task of its own, so that a caller who leaves cancels nothing for those who wait with it; each
//! waiter keeps its own deadline. A flight that is dropped, finished or panicked lands, so nobody waits for nothing.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::answer::{Answer, AnswerBody};
use super::bulkhead::CallerSeat;
use super::failure::{Failure, FailureKind};
use super::pipeline::Failed;
use super::stream::UpstreamBody;
use crate::cache::{CacheStatus, Entry, Key};
use crate::telemetry::traces::SpanPlace;

/// Most waiters of one flight.
const MOST_WAITERS: usize = 4096;

/// How a flight ended, for those who waited.
#[derive(Clone)]
pub(super) enum Landing {
    /// A whole answer, stored where there was room; with the attempts it took.
    Stored(Arc<Entry>, u32),
    /// The upstream answered with a server error, good for everybody who waited.
    Error(Arc<HeldAnswer>),
    /// Memory has something now that it did not have before: look again.
    Found,
    /// The answer was for one only: each must ask for itself.
    Alone,
    /// No attempt could answer.
    Failed(Failed),
}

/// A small answer in memory.
#[derive(Debug)]
pub(super) struct HeldAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, fit for callers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Attempts it took.
    pub attempts: u32,
}

impl HeldAnswer {
    /// The answer for one who waited.
    pub(super) fn answer(&self, status: CacheStatus) -> Answer {
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = self.status;
        parts.headers = self.headers.clone();
        let mut answer = Answer::from_upstream(parts, AnswerBody::Whole(self.body.clone()), self.attempts);
        answer.why.cache = Some(status);
        answer
    }
}

/// The flights under way.
#[derive(Default)]
pub(super) struct Flights {
    active: Mutex<HashMap<Key, Flight>>,
}

/// A flight under way.
struct Flight {
    landing: watch::Sender<Option<Landing>>,
    /// The span of the call it was begun for, where that is recorded.
    begun_by: Option<SpanPlace>,
}

/// The part a caller has in a flight.
pub(super) enum Part {
    /// It is the first: it must fly.
    Lead(Lead),
    /// Another flies already.
    Wait(Wait),
    /// One has just landed.
    Over(Landing),
    /// Too many wait already.
    Full,
}

/// The right and the duty to fly; dropping it lands the flight.
pub(super) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    landing: watch::Sender<Option<Landing>>,
}

/// Waits for a flight.
pub(super) struct Wait {
    landing: watch::Receiver<Option<Landing>>,
    begun_by: Option<SpanPlace>,
}

impl Flights {
    /// Joins the flight of that key, or begins it for the call whose span is `begun_by`.
    pub(super) fn join(self: &Arc<Self>, key: &Key, begun_by: Option<SpanPlace>) -> Part {
        let mut active = self.active.lock();
        if let Some(Flight { landing, begun_by }) = active.get(key) {
            let full = landing.receiver_count() >= MOST_WAITERS;
            let wait = || Wait { landing: landing.subscribe(), begun_by: *begun_by };
            return if full { Part::Full } else { Part::Wait(wait()) };
        }
        let landing = watch::Sender::new(None);
        active.insert(key.clone(), Flight { landing: landing.clone(), begun_by });
        Part::Lead(Lead { flights: Arc::clone(self), key: key.clone(), landing })
    }
}

impl Lead {
    /// Tells everybody who waits, and ends the flight.
    pub(super) fn land(self, landing: Landing) {
        self.finish(landing);
    }

    fn finish(&self, landing: Landing) {
        // Out of the table first: whoever comes now starts afresh instead of joining a flight that is over.
        self.flights.active.lock().remove(&self.key);
        self.landing.send_replace(Some(landing));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.landing.borrow().is_none() {
            let failure = Failure::new(
                FailureKind::Internal,
                "proxy_internal_error",
                "The shared request ended early.",
            );
            self.finish(Landing::Failed(Failed::from(failure)));
        }
    }
}

impl Wait {
    /// The span of the call that the flight was begun for, where that is recorded.
    pub(super) fn flies_for(&self) -> Option<SpanPlace> {
        self.begun_by
    }

    /// Waits until the flight has landed.
    pub(super) async fn landed(mut self) -> Landing {
        match self.landing.wait_for(Option::is_some).await {
            Ok(landing) => landing.clone().unwrap_or(Landing::Alone),
            Err(_) => Landing::Alone,
        }
    }
}

/// A piece of a body that a flight passes on to the caller that began it.
pub enum Piece {
    /// Bytes that are being kept as well.
    Data(Bytes),
    /// The rest, straight from the wire: it turned out too large to keep.
    Rest(Box<UpstreamBody>),
    /// It broke.
    Broken(io::Error),
    /// It came whole. Without this word the flight ended early, and so must the answer.
    End,
}

/// The body of the caller that began a flight: as it arrives, while the flight keeps a copy.
pub struct FlightBody {
    pieces: mpsc::UnboundedReceiver<Piece>,
    rest: Option<Box<UpstreamBody>>,
    left: SizeHint,
    ended: bool,
    /// The caller's, for as long as bytes of the copy may wait for it here.
    _seat: Option<CallerSeat>,
}

impl FlightBody {
    /// A body and the flight's end of it. Unbounded, because a flight keeps at most `cache.maxObject` anyway, and a
    /// caller has no more of them than seats.
    pub fn channel(size: SizeHint, seat: Option<CallerSeat>) -> (mpsc::UnboundedSender<Piece>, Self) {
        let (sender, pieces) = mpsc::unbounded_channel();
        (sender, Self { pieces, rest: None, left: size, ended: false, _seat: seat })
    }
}

impl Body for FlightBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(rest) = &mut self.rest {
                return Pin::new(rest).poll_frame(context);
            }
            match std::task::ready!(self.pieces.poll_recv(context)) {
                None => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Some(Piece::End) => self.ended = true,
                Some(Piece::Broken(error)) => return Poll::Ready(Some(Err(error))),
                Some(Piece::Rest(rest)) => self.rest = Some(rest),
                Some(Piece::Data(data)) => {
                    if let Some(left) = self.left.exact() {
                        self.left = SizeHint::with_exact(left.saturating_sub(data.len() as u64));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| self.left, http_body::Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_flight_that_ends_early_breaks_its_callers_body() {
        let (pieces, body) = FlightBody::channel(SizeHint::default(), None);
        assert!(pieces.send(Piece::Data(Bytes::from_static(b"half"))).is_ok());
        drop(pieces);
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_body_that_came_whole_ends_well() {
        let (pieces, body) = FlightBody::channel(SizeHint::default(), None);
        for piece in [Piece::Data(Bytes::from_static(b"whole")), Piece::End] {
            assert!(pieces.send(piece).is_ok());
        }
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
    }
}
