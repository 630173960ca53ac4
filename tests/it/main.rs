//! The one integration-test binary: the fixtures, their own tests, the rules of the house, Levee from outside.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in what tests stand on too")]

mod access;
mod audit;
mod auth;
mod breakers_api;
mod calls;
mod commands;
mod conformance;
mod credentials;
mod credentials_api;
mod drain;
mod fixtures;
mod fleet;
mod keys;
mod kubernetes;
mod kubernetes_tokens;
mod load;
mod ops;
mod peers;
mod policy;
mod protection;
mod readme;
mod redis;
mod shared_cache;
mod shared_reads;
mod stability;
mod startup;
mod store;
mod support;
mod tidy;
mod traces;
mod upstreams_api;
