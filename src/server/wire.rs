//! The socket as the HTTP library sees it: it hands on whole, judged request heads and the bodies behind them.
//!
//! A refused request is replaced by a harmless one of ours, which the library reads in its turn and the service
//! answers with the refusal. So the answer keeps its place behind the ones still in flight, and no byte of the
//! refused request is ever parsed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Limits;
use super::activity::Activity;
use super::guard::{Fault, Guard, Verdict};
use super::problem::{Refusal, SLOW_HEAD};

/// How a connection with HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Stands where a refused request stood.
const IN_PLACE_OF_REFUSED: &[u8] = b"GET /refused HTTP/1.1\r\nhost: levee\r\nconnection: close\r\n\r\n";

/// Bytes read at once while a head is being collected.
const READ: usize = 4096;

/// Answers up to this size go out in one plain write: it costs the system less than a vectored one. Bytes.
const JOINED: usize = 2 * 1024;

/// Most kept of the buffer once it is empty.
const KEPT: usize = 16 * 1024;

/// Most input dropped after our last word.
const DISCARDED: usize = 256 * 1024;

/// The protocol a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

enum Inbound {
    /// HTTP/2: its framing leaves nothing to judge here.
    Unjudged,
    Judged(Guard),
    /// The body being read is malformed; the library is told at its next read.
    Broken(Refusal),
    /// Nothing more is handed on.
    Shut,
}

/// A socket with the guard in front of it.
pub(super) struct Wire<S> {
    stream: S,
    activity: Arc<Activity>,
    inbound: Inbound,
    /// `held[given..released]` goes to the library next; behind `released` lies a head that is not complete.
    held: Vec<u8>,
    given: usize,
    released: usize,
    head_pending: bool,
    stalled: bool,
    discarded: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            inbound: Inbound::Unjudged,
            held: Vec::new(),
            given: 0,
            released: 0,
            head_pending: false,
            stalled: false,
            discarded: 0,
        }
    }

    /// Reads until the protocol is plain; `None` when the peer closed before.
    pub(super) async fn protocol(&mut self, limits: &Limits) -> io::Result<Option<Protocol>> {
        loop {
            if std::future::poll_fn(|cx| self.read_more(cx)).await? == 0 {
                return Ok(None);
            }
            let seen = self.held.len().min(PREFACE.len());
            if self.held[..seen] != PREFACE[..seen] {
                self.inbound = Inbound::Judged(Guard::new(limits.header_bytes, limits.header_fields));
                self.judge_held();
                return Ok(Some(Protocol::Http1));
            }
            if seen == PREFACE.len() {
                self.released = self.held.len();
                return Ok(Some(Protocol::Http2));
            }
        }
    }

    /// Reads behind what is held.
    fn read_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let held = self.held.len();
        self.held.resize(held + READ, 0);
        let mut buffer = ReadBuf::new(&mut self.held[held..]);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let read = if polled.is_ready() { buffer.filled().len() } else { 0 };
        self.held.truncate(held + read);
        polled.map_ok(|()| read)
    }

    /// Hands on what may go; false when there is nothing.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.given == self.released {
            return false;
        }
        let length = buffer.remaining().min(self.released - self.given);
        buffer.put_slice(&self.held[self.given..self.given + length]);
        self.given += length;
        if self.given == self.released {
            self.held.drain(..self.released);
            (self.given, self.released) = (0, 0);
            if self.held.is_empty() && self.held.capacity() > KEPT {
                self.held = Vec::new();
            }
        }
        true
    }

    fn judge_held(&mut self) {
        let Inbound::Judged(guard) = &mut self.inbound else { return };
        let verdict = guard.judge(&self.held);
        self.released = verdict.passed;
        self.settle(verdict);
    }

    /// Reads straight into the library's buffer, and takes back what may not go on. True: there is an answer.
    fn judge_in_place(&mut self, before: usize, buffer: &mut ReadBuf<'_>) -> bool {
        let Inbound::Judged(guard) = &mut self.inbound else { return true };
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            return true;
        }
        let verdict = guard.judge(read);
        let passed = verdict.passed;
        self.held.extend_from_slice(&read[passed..]);
        buffer.set_filled(before + passed);
        self.settle(verdict);
        passed > 0
    }

    /// Draws the consequences of a verdict: the clock of a pending head, and a refusal.
    fn settle(&mut self, verdict: Verdict) {
        match verdict.fault {
            Some(Fault::Head(refusal)) => self.refuse(refusal),
            Some(Fault::Body(refusal)) => {
                self.held.truncate(self.released);
                self.inbound = Inbound::Broken(refusal);
            }
            None => {
                let pending = matches!(&self.inbound, Inbound::Judged(guard) if guard.in_head());
                if pending != self.head_pending || (pending && verdict.passed > 0) {
                    self.head_pending = pending;
                    self.activity.head_pending(pending);
                }
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        if let Inbound::Judged(guard) = &self.inbound {
            self.activity.refuse(guard.heads() + 1, refusal);
        }
        self.inbound = Inbound::Shut;
        self.held.truncate(self.released);
        self.held.extend_from_slice(IN_PLACE_OF_REFUSED);
        self.released = self.held.len();
    }

    /// What is left to do before the next read, if anything.
    fn before_read(&mut self) -> Option<Poll<io::Result<()>>> {
        match self.inbound {
            Inbound::Broken(refusal) => {
                self.activity.break_body(refusal);
                self.inbound = Inbound::Shut;
                Some(Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal.detail()))))
            }
            // Nothing is awaited: the library goes on by its own writes.
            Inbound::Shut => Some(Poll::Pending),
            _ => None,
        }
    }

    /// True when the peer may still be sending what nobody will read.
    fn unread(&self) -> bool {
        match &self.inbound {
            Inbound::Unjudged => false,
            Inbound::Judged(guard) => guard.in_body() || !self.held.is_empty(),
            Inbound::Broken(_) | Inbound::Shut => true,
        }
    }

    fn note_stall(&mut self, stalled: bool) {
        if self.stalled != stalled {
            self.stalled = stalled;
            self.activity.write_stalled(stalled);
        }
    }
}

/// Head and body of a small answer as one piece, if they fit.
fn join<'a>(slices: &[IoSlice<'_>], space: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = slices.iter().map(|slice| slice.len()).sum();
    let joined = space.get_mut(..length)?;
    let mut rest = &mut *joined;
    for slice in slices {
        let (place, behind) = rest.split_at_mut(slice.len());
        place.copy_from_slice(slice);
        rest = behind;
    }
    Some(joined)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.hand_on(buffer) {
                return Poll::Ready(Ok(()));
            }
            if let Some(answer) = this.before_read() {
                return answer;
            }
            if this.head_pending && this.activity.gave_up_head() {
                this.refuse(SLOW_HEAD);
            } else if this.held.is_empty() {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
                if this.judge_in_place(before, buffer) {
                    return Poll::Ready(Ok(()));
                }
            } else if ready!(this.read_more(cx))? == 0 {
                return Poll::Ready(Ok(()));
            } else {
                this.judge_held();
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.note_stall(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut space = [0; JOINED];
        let polled = match join(slices, &mut space) {
            Some(joined) => Pin::new(&mut this.stream).poll_write(cx, joined),
            None => Pin::new(&mut this.stream).poll_write_vectored(cx, slices),
        };
        this.note_stall(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Shuts our side, then drops a bounded amount of input, lest a reset destroy the last answer on its way.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if !this.unread() {
            return Poll::Ready(Ok(()));
        }
        this.activity.linger();
        let mut space = [0; READ];
        while this.discarded < DISCARDED {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            this.discarded += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
