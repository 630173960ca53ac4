//! OAuth2 tokens: got by one request at a time, renewed a little early, and used to their end while that is under way.
//!
//! A request for a token runs in a task of its own, so that a caller who leaves takes nothing from those who wait with
//! it. A token server in trouble is asked ever less often.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use super::Credential;
use super::grant::{Grant, Granted, Refusal};
use super::sharing::Sharing;
use crate::gateway::failure::{Failure, FailureKind};
use crate::gateway::transport::{Network, SetupFailure};
use crate::models::policy::{OAuth2, Upstream};

/// The longest one request for a token may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The first and the longest wait after a failure; it doubles in between.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A token is renewed this long before its end, or a tenth of its life if that is less; up to twice that, by chance.
const EARLY: Duration = Duration::from_secs(60);
/// A 401 drops a token no more often than this: an upstream that refuses all of them must not become a load on the
/// token server.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Gets the tokens of one upstream, and keeps the last.
pub struct TokenSource {
    upstream: String,
    grant: Grant,
    sharing: Sharing,
    token: ArcSwapOption<Token>,
    state: Mutex<State>,
    tasks: TaskTracker,
}

struct Token {
    credential: Credential,
    renew: Instant,
    end: Instant,
}

#[derive(Default)]
struct State {
    /// The request under way; over once its sender is gone.
    asking: Option<watch::Receiver<()>>,
    /// Failures in a row.
    failures: u32,
    /// Not before then again.
    pause_until: Option<Instant>,
    last_refusal: Option<Refusal>,
    last_dropped: Option<Instant>,
    /// What was dropped then.
    dropped: Option<Credential>,
}

impl TokenSource {
    /// Asks nothing yet. `None` where the secret cannot be sent.
    pub(super) fn new(
        upstream: &Upstream,
        settings: &OAuth2,
        secret: &str,
        network: &Network,
        sharing: Sharing,
    ) -> Result<Option<Arc<Self>>, SetupFailure> {
        let grant = Grant::new(upstream, settings, secret, network)?;
        Ok(grant.map(|grant| {
            Arc::new(Self {
                upstream: upstream.name.clone(),
                grant,
                sharing,
                token: ArcSwapOption::empty(),
                state: Mutex::default(),
                tasks: network.tracker().clone(),
            })
        }))
    }

    /// A token that still counts. One near its end sets a renewal going that nobody waits for.
    pub(super) fn at_hand(self: &Arc<Self>) -> Option<Credential> {
        let (token, now) = (self.token.load(), Instant::now());
        let token = token.as_ref().filter(|token| now < token.end)?;
        if now >= token.renew {
            // Refused while the server is given a pause: the token at hand still counts.
            let _ = self.ask(now);
        }
        Some(token.credential.clone())
    }

    /// A token from the request under way, or from one that is begun.
    pub(super) async fn fetched(self: &Arc<Self>, deadline: Instant) -> Result<Credential, Failure> {
        let mut asking = self.ask(Instant::now())?;
        // It says nothing: that it is gone is the word.
        if timeout_at(deadline, asking.changed()).await.is_err() {
            return Err(missing("the token server did not answer within the call's time"));
        }
        match &*self.token.load() {
            Some(token) if Instant::now() < token.end => Ok(token.credential.clone()),
            _ => Err(self.paused(Instant::now())),
        }
    }

    /// Drops the token that was refused. Whether asking again is worth it: another token is at hand, or may be got.
    pub(super) fn refused(&self, used: &Credential) -> bool {
        let mut state = self.state.lock();
        if self.token.load().as_ref().is_some_and(|token| token.credential.value != used.value) {
            return true;
        }
        let now = Instant::now();
        if state.last_dropped.is_some_and(|dropped| now < dropped + RENEW_EVERY) {
            return false;
        }
        state.last_dropped = Some(now);
        state.dropped = Some(used.clone());
        self.token.store(None);
        true
    }

    /// Why there is no token; well also before the first was needed.
    pub(super) fn state(&self) -> Result<(), &'static str> {
        let counts = self.token.load().as_ref().is_some_and(|token| Instant::now() < token.end);
        if counts || self.state.lock().failures == 0 {
            Ok(())
        } else {
            Err("the token server gives no token")
        }
    }

    pub(super) fn sweep(&self, now: Instant) {
        self.grant.sweep(now);
    }

    /// Joins the request under way, or begins one unless the server is given a pause.
    fn ask(self: &Arc<Self>, now: Instant) -> Result<watch::Receiver<()>, Failure> {
        let mut state = self.state.lock();
        if let Some(asking) = state.asking.as_ref().filter(|asking| asking.has_changed().is_ok()) {
            return Ok(asking.clone());
        }
        if state.pause_until.is_some_and(|until| now < until) {
            drop(state);
            return Err(self.paused(now));
        }
        let (under_way, asking) = watch::channel(());
        state.asking = Some(asking.clone());
        let source = Arc::clone(self);
        self.tasks.spawn(async move {
            let asked = Instant::now();
            let late = || Err(Refusal::new("the token server did not answer in time"));
            let outcome = timeout(REQUEST_TIMEOUT, source.obtain()).await.unwrap_or_else(|_| late());
            source.learn(outcome, asked);
            // Dropped last, also by a panic: whoever waits looks at what was learnt.
            drop(under_way);
        });
        Ok(asking)
    }

    /// Another than the one at hand, or the one that was refused.
    async fn obtain(&self) -> Result<Granted, Refusal> {
        let at_hand = self.token.load().as_ref().map(|token| token.credential.clone());
        let unwanted = at_hand.or_else(|| self.state.lock().dropped.clone());
        self.sharing.obtain(&self.grant, unwanted.as_ref()).await
    }

    fn learn(&self, outcome: Result<Granted, Refusal>, asked: Instant) {
        let mut state = self.state.lock();
        match outcome {
            Ok(Granted { credential, life }) => {
                let early = (life / 10).min(EARLY).mul_f64(1.0 + fastrand::f64());
                let end = asked + life;
                self.token.store(Some(Arc::new(Token { credential, renew: end - early, end })));
                let (last_dropped, dropped) = (state.last_dropped, state.dropped.take());
                *state = State { last_dropped, dropped, ..State::default() };
                tracing::debug!(upstream = self.upstream, ?life, "token renewed");
            }
            Err(refusal) => {
                let doublings = state.failures.min(6);
                state.failures = state.failures.saturating_add(1);
                let pause = BACKOFF.0.saturating_mul(1 << doublings).min(BACKOFF.1);
                let pause = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
                state.pause_until = Some(Instant::now() + pause);
                tracing::warn!(
                    upstream = self.upstream,
                    why = refusal.detail,
                    cause = refusal.cause,
                    next_try = ?pause,
                    "no token"
                );
                state.last_refusal = Some(refusal);
            }
        }
    }

    fn paused(&self, now: Instant) -> Failure {
        let state = self.state.lock();
        let why =
            state.last_refusal.as_ref().map_or("the request for a token failed", |refusal| &refusal.detail);
        let after = state.pause_until.map(|until| until.saturating_duration_since(now));
        missing(why).with_retry_after(after)
    }
}

fn missing(why: &str) -> Failure {
    let detail = format!("Levee has no token for this upstream: {why}.");
    Failure::new(FailureKind::CredentialsMissing, "proxy_configuration_error", detail).with_nothing_sent()
}

#[cfg(test)]
mod tests;
