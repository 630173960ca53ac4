//! The fixtures' own tests: a fixture that does not do what it says proves nothing about Levee.

mod clients;
mod httpbin;
mod misbehaving;
mod nginx;
mod processes;
