//! Looking an answer up: may the stored one be used for this request, now (RFC 9111 section 4)?

use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use tokio::time::Instant;

use super::HttpCache;
use super::directives::RequestDirectives;
use super::entry::Entry;
use super::fingerprint;
use super::hit::Hit;
use super::key::{Draft, Key, RequestView};
use super::memory::Stored;
use super::purges::Validity;
use super::status::Forward;
use crate::models::policy::{self, CacheMode};

/// What the cache has to say to a request.
#[derive(Debug)]
pub enum Lookup {
    /// Not for the cache: send it on as it is, coalesce nothing, store nothing.
    Bypass(Bypass),
    /// Answer with it. Stale only where the caller's `max-stale` allows it.
    Fresh(Hit),
    /// Past its freshness; ask the upstream with its conditions.
    Stale {
        /// The stored answer.
        hit: Hit,
        /// Answer with it at once, and ask behind the caller's back (RFC 5861 section 3).
        while_revalidate: bool,
        /// For so long it may still answer when the upstream fails (RFC 5861 section 4); zero is not at all.
        if_error: Duration,
    },
    /// Not to be used before the upstream has confirmed it, not even when the upstream fails.
    MustRevalidate(Hit),
    /// The caller wants it from the upstream (`no-cache`, `max-age=0`). Its flight must be its own: one that
    /// began earlier could bring what the caller does not want.
    Reload {
        /// What to store the answer under.
        key: Key,
        /// The stored answer, for its conditions.
        hit: Option<Hit>,
    },
    /// Nothing stored, and lately nothing could be: straight to the upstream, not coalesced, but store what can be.
    HitForMiss(Key),
    /// Nothing stored: join the flight of this key, or start it.
    Miss(Key),
    /// The caller said `only-if-cached`, and there is nothing for it: 504.
    OnlyIfCached,
}

/// Why a request is not for the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bypass {
    /// The policy's mode is `off`.
    Off,
    /// Neither GET nor HEAD.
    Method,
    /// A body comes with it.
    Body,
    /// It asks for a part.
    Range,
    /// `If-Match` or `If-Unmodified-Since`, which only the upstream may judge.
    Precondition,
    /// The caller's `no-store`.
    NoStore,
    /// HEAD without a fresh answer: a stored GET can answer it, but it cannot bring one.
    Head,
}

impl Lookup {
    /// Why the request goes to the upstream, for `Cache-Status`; `None` where it does not.
    pub fn forward(&self) -> Option<Forward> {
        match self {
            Self::Fresh(_) | Self::OnlyIfCached => None,
            Self::Bypass(Bypass::Method) => Some(Forward::Method),
            Self::Bypass(Bypass::NoStore) | Self::Reload { .. } => Some(Forward::Request),
            Self::Bypass(_) => Some(Forward::Bypass),
            Self::Stale { .. } | Self::MustRevalidate(_) => Some(Forward::Stale),
            Self::HitForMiss(_) => Some(Forward::Miss),
            Self::Miss(key) if key.is_variant() => Some(Forward::VaryMiss),
            Self::Miss(_) => Some(Forward::UriMiss),
        }
    }

    fn answers(&self) -> bool {
        matches!(self, Self::Fresh(_) | Self::Stale { while_revalidate: true, .. })
    }
}

impl HttpCache {
    /// Looks a request up.
    pub fn lookup(&self, request: &RequestView<'_>, policy: &policy::Cache, now: Instant) -> Lookup {
        let asked = RequestDirectives::of(request.headers);
        let lookup = match bypass(request, policy, &asked) {
            Some(why) => Lookup::Bypass(why),
            None => match self.consult(request, policy, &asked, now) {
                Lookup::Fresh(hit) => Lookup::Fresh(hit),
                _ if request.method == Method::HEAD => Lookup::Bypass(Bypass::Head),
                lookup => lookup,
            },
        };
        if asked.only_if_cached && !lookup.answers() { Lookup::OnlyIfCached } else { lookup }
    }

    /// The stored answer for the policy's `stale` fallback: fresh, or at most `max_age` past its freshness. More
    /// than the response's own `stale-if-error`, yet never against `no-cache`, `must-revalidate` or
    /// `proxy-revalidate` (but see `override`), nor against the caller's own wish.
    pub fn stale_for(
        &self,
        request: &RequestView<'_>,
        policy: &policy::Cache,
        max_age: Duration,
        now: Instant,
    ) -> Option<Hit> {
        let asked = RequestDirectives::of(request.headers);
        if bypass(request, policy, &asked).is_some() || asked.no_cache {
            return None;
        }
        let began = self.purges.moment();
        let Stored::Entry(entry) = self.find(request, policy).1? else { return None };
        let purged = self.usable(&entry)?.stale_since();
        let usable = match staleness(&entry, purged, now) {
            None => !entry.terms.no_cache,
            Some(staleness) => !entry.terms.never_stale && staleness <= max_age,
        };
        let wanted = asked.max_age.is_none_or(|most| entry.age(now) <= most);
        (usable && wanted).then(|| Hit::new(entry, request, began, now).purged(purged, now))
    }

    /// How an answer stands that is not gone.
    fn usable(&self, entry: &Entry) -> Option<Validity> {
        Some(self.purges.judge(entry)).filter(|validity| *validity != Validity::Gone)
    }

    fn consult(
        &self,
        request: &RequestView<'_>,
        policy: &policy::Cache,
        asked: &RequestDirectives,
        now: Instant,
    ) -> Lookup {
        let began = self.purges.moment();
        let (draft, stored) = self.find(request, policy);
        let key = |draft| self.keyer.finish(draft, began);
        let insists = asked.no_cache || asked.max_age == Some(Duration::ZERO);
        if let Some(Stored::Entry(entry)) = &stored
            && let Some(validity) = self.usable(entry)
        {
            let purged = validity.stale_since();
            let hit = Hit::new(Arc::clone(entry), request, began, now).purged(purged, now);
            if insists {
                return Lookup::Reload { key: hit.key(), hit: Some(hit) };
            }
            return verdict(entry, hit, staleness(entry, purged, now), policy, asked, now);
        }
        match stored {
            Some(Stored::HitForMiss(marker)) if marker.until > now => Lookup::HitForMiss(key(draft)),
            _ if insists => Lookup::Reload { key: key(draft), hit: None },
            _ => Lookup::Miss(key(draft)),
        }
    }

    /// What is stored for a request, and the key that leads there.
    fn find(&self, request: &RequestView<'_>, policy: &policy::Cache) -> (Draft, Option<Stored>) {
        let mut draft = self.keyer.draft(request, policy);
        let mut stored = self.memory.get(draft.hash, &draft.text);
        if let Some(Stored::Variants(variants)) = &stored {
            self.keyer.select(&mut draft, &variants.names, request.headers);
            stored = self.memory.get(draft.hash, &draft.text);
        }
        (draft, stored)
    }
}

fn bypass(request: &RequestView<'_>, policy: &policy::Cache, asked: &RequestDirectives) -> Option<Bypass> {
    let has = |name| request.headers.contains_key(name);
    if policy.mode == CacheMode::Off {
        Some(Bypass::Off)
    } else if !matches!(*request.method, Method::GET | Method::HEAD) {
        Some(Bypass::Method)
    } else if request.has_body {
        Some(Bypass::Body)
    } else if has(header::RANGE) || has(header::IF_RANGE) {
        Some(Bypass::Range)
    } else if has(header::IF_MATCH) || has(header::IF_UNMODIFIED_SINCE) {
        Some(Bypass::Precondition)
    } else {
        asked.no_store.then_some(Bypass::NoStore)
    }
}

/// How far past its freshness an answer is, purges counted.
fn staleness(entry: &Entry, purged: Option<Instant>, now: Instant) -> Option<Duration> {
    let by_purge = purged.map(|since| now.saturating_duration_since(since));
    entry.staleness(now).max(by_purge)
}

fn verdict(
    entry: &Entry,
    hit: Hit,
    staleness: Option<Duration>,
    policy: &policy::Cache,
    asked: &RequestDirectives,
    now: Instant,
) -> Lookup {
    let (terms, age) = (&entry.terms, entry.age(now));
    if terms.no_cache || terms.judged_by != fingerprint::judging(policy) {
        return Lookup::MustRevalidate(hit);
    }
    let young_enough = asked.max_age.is_none_or(|most| age <= most);
    let Some(staleness) = staleness else {
        let left = terms.lifetime.saturating_sub(age);
        let fresh_enough = asked.min_fresh.is_none_or(|least| left >= least);
        return if young_enough && fresh_enough { Lookup::Fresh(hit) } else { Lookup::MustRevalidate(hit) };
    };
    if terms.never_stale {
        return Lookup::MustRevalidate(hit);
    }
    if young_enough && !terms.no_max_stale && asked.max_stale.is_some_and(|most| staleness <= most) {
        return Lookup::Fresh(hit);
    }
    // The policy stretches a freshness that was there; it makes none where the response gave none.
    let window = match policy.stale_while_revalidate {
        Some(window) if terms.lifetime.is_zero() => window.min(terms.stale_while_revalidate),
        Some(window) => window,
        None => terms.stale_while_revalidate,
    };
    Lookup::Stale {
        hit,
        while_revalidate: young_enough && asked.min_fresh.is_none() && staleness < window,
        if_error: terms.stale_if_error.saturating_sub(staleness),
    }
}
