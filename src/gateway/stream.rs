//! The response body on its way to the caller: bounded, watched for silence, and the last to know how the attempt went.
//!
//! The breaker's permit and the seats travel with the body, because an attempt is over when its body is: a body
//! that breaks at 90 % is the upstream's failure, one that the caller leaves is nobody's.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::breaker::{Outcome, Permit};
use super::bulkhead::{CallerSeat, Seat};
use super::transport::ResponseBody;
use crate::models::policy::Policy;

/// What an attempt holds until its body has ended.
#[derive(Default)]
pub struct Holds {
    /// To be settled by how the body ends; `None` once the verdict is in.
    pub permit: Option<Permit>,
    /// The upstream's seat.
    pub seat: Option<Seat>,
    /// The caller's.
    pub caller: Option<CallerSeat>,
}

/// An upstream's response body under its policy.
pub struct UpstreamBody {
    inner: ResponseBody,
    holds: Holds,
    idle: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    whole: Option<WholeTime>,
    left: Option<u64>,
    front: Option<Bytes>,
    /// How it ended when it was read ahead.
    end: Option<io::Error>,
}

/// `timeout.body`, and how much of it passed while nobody asked for more: a caller that is slow to take what there is
/// must not make the upstream look slow.
struct WholeTime {
    longest: Duration,
    end: Instant,
    away_since: Option<Instant>,
    away: Duration,
}

impl WholeTime {
    fn from_now(longest: Duration) -> Self {
        Self { longest, end: Instant::now() + longest, away_since: None, away: Duration::ZERO }
    }

    /// Somebody asks again.
    fn resume(&mut self, now: Instant) {
        if let Some(since) = self.away_since.take() {
            self.away += now.saturating_duration_since(since);
        }
    }

    /// Whether the time went by waiting for the upstream, or half of it at least.
    fn is_the_upstreams(&self) -> bool {
        self.away <= self.longest / 2
    }
}

impl UpstreamBody {
    /// Takes over what the attempt holds.
    pub fn new(inner: ResponseBody, holds: Holds, policy: &Policy) -> Self {
        let mut body = Self {
            inner,
            holds,
            idle: policy.timeout.idle_body,
            silence: None,
            waiting: false,
            whole: policy.timeout.body.map(WholeTime::from_now),
            left: policy.limits.response,
            front: None,
            end: None,
        };
        if body.inner.is_end_stream() {
            body.settle(Outcome::Success);
        }
        body
    }

    /// Adds the caller's seat to what is held.
    pub fn hold_caller(&mut self, seat: CallerSeat) {
        if !self.inner.is_end_stream() {
            self.holds.caller = Some(seat);
        }
    }

    /// Gives the caller's seat up to whoever passes the body on.
    pub fn release_caller(&mut self) -> Option<CallerSeat> {
        self.holds.caller.take()
    }

    /// Puts bytes that were read back in front of the rest, or of the error that reading ended with.
    pub fn put_back(&mut self, bytes: Bytes, end: Option<io::Error>) {
        self.front = Some(bytes).filter(|bytes| !bytes.is_empty());
        self.end = end;
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(permit) = self.holds.permit.take() {
            permit.finish(outcome);
        }
        self.holds.seat = None;
        self.holds.caller = None;
    }

    fn broken(&mut self, error: io::Error) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.settle(Outcome::Failure { transport: true, retry_after: None });
        Poll::Ready(Some(Err(error)))
    }

    /// Ends the body when its whole time is over, also where the caller is the slow one.
    fn poll_whole_time(&mut self) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(whole) = &mut self.whole else { return Poll::Pending };
        let now = Instant::now();
        whole.resume(now);
        if now < whole.end {
            return Poll::Pending;
        }
        let error = io::Error::new(io::ErrorKind::TimedOut, "the response body exceeded `timeout.body`");
        if whole.is_the_upstreams() {
            return self.broken(error);
        }
        self.settle(Outcome::Neutral);
        Poll::Ready(Some(Err(error)))
    }

    /// Rings when the upstream has been silent for too long, or the whole time is over.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(now)));
        if !self.waiting {
            self.waiting = true;
            let idle_end = now + self.idle;
            silence.as_mut().reset(self.whole.as_ref().map_or(idle_end, |whole| whole.end.min(idle_end)));
        }
        silence.as_mut().poll(context)
    }

    /// The next frame, under the deadlines.
    fn poll_inner(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let over @ Poll::Ready(_) = self.poll_whole_time() {
            return over;
        }
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending => match self.poll_silence(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => match self.poll_whole_time() {
                    Poll::Pending => self.broken(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the response body exceeded `timeout.idleBody`",
                    )),
                    over @ Poll::Ready(_) => over,
                },
            },
            Poll::Ready(Some(Ok(frame))) => self.passed(frame),
            Poll::Ready(Some(Err(error))) => self.broken(io::Error::other(error)),
            Poll::Ready(None) => {
                self.settle(Outcome::Success);
                Poll::Ready(None)
            }
        }
    }

    /// Counts a frame that goes to the caller.
    fn passed(&mut self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.waiting = false;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Err(error) = self.take_from_limit(length) {
            // The upstream is well: its answer is only larger than the policy wants.
            self.settle(Outcome::Neutral);
            return Poll::Ready(Some(Err(error)));
        }
        if self.inner.is_end_stream() {
            self.settle(Outcome::Success);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn take_from_limit(&mut self, length: u64) -> Result<(), io::Error> {
        let Some(left) = &mut self.left else { return Ok(()) };
        *left = left.checked_sub(length).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "the response body exceeded `limits.response`")
        })?;
        Ok(())
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if let Some(front) = this.front.take() {
            return Poll::Ready(Some(Ok(Frame::data(front))));
        }
        if let Some(error) = this.end.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = this.poll_inner(context);
        if let (true, Some(whole)) = (polled.is_ready(), &mut this.whole) {
            whole.away_since = Some(Instant::now());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_none() && self.end.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.inner.size_hint();
        let front = self.front.as_ref().map_or(0, Bytes::len) as u64;
        rest.exact().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(front + rest))
    }
}
