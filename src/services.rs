//! The control plane's rules, in plain values: what may be done, by whom, and what follows from it.

/// The second guard.
mod authority;

/// Who changed what.
pub mod audit;
/// Signing in and out.
pub mod auth;
/// What the breakers are doing.
pub mod breakers;
/// Secrets of upstreams.
pub mod credentials;
/// How this process is.
pub mod health;
/// Who asks.
pub mod identity;
/// Keys of other issuers.
pub mod issuers;
/// The one door out.
pub mod publication;
/// Taking cached answers out of use.
pub mod purges;
/// How much each client may ask.
pub mod rate_limits;
/// What was read lately.
pub mod reads;
/// Upstreams over the API.
pub mod registrations;
/// Files that are sealed.
pub mod sealed_file;
/// Programs that call.
pub mod service_accounts;
/// Upstreams from files.
pub mod upstreams;
/// People who sign in.
pub mod users;
