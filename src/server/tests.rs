//! Raw clients against connections and listeners with a tiny endpoint.

mod draining;
mod framing;
mod http2;
mod listening;
mod refusals;
mod support;
mod timing;
mod unread;
