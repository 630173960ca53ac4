//! What the tests stand on: private servers on free ports, clients, and waiting by condition.
//!
//! Everything started here ends with the test process, however that ends (see `watchdog`).

/// A TCP balancer before replicas that come and go.
pub(crate) mod balancer;
/// A private CA.
pub(crate) mod certificates;
/// Clients: whole answers by hyper, odd bytes by a raw connection, many calls at once.
pub(crate) mod client;
/// A Kubernetes API server in this process.
pub(crate) mod cluster;
/// A receiver of spans.
pub(crate) mod collector;
/// Replicas over one database.
pub(crate) mod control;
/// A TCP proxy that breaks what lies between.
pub(crate) mod faults;
/// PyPI's httpbin under gunicorn.
pub(crate) mod httpbin;
/// The part of a Kubernetes API server that issues tokens.
pub(crate) mod issuer;
/// The real binary.
pub(crate) mod levee;
/// A server that breaks in every way a test asks for.
pub(crate) mod misbehaving;
/// Debian's nginx.
pub(crate) mod nginx;
/// Ports that refuse a connection, or never complete one.
pub(crate) mod ports;
/// PostgreSQL: a database for a test, or a server that a test may stop.
pub(crate) mod postgres;
/// A child process with its log.
pub(crate) mod process;
/// Redis: a server that a test may stop, a faulty network in front of it, a cluster.
pub(crate) mod redis;
/// A Redis that others watch and replace.
pub(crate) mod sentinel;
/// Waiting for a condition.
pub(crate) mod until;
/// Ends what a dead test process leaves behind.
pub(crate) mod watchdog;
/// HTTP/1.1 messages as bytes.
pub(crate) mod wire;
