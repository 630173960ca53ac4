//! `operations`: parts of an upstream with blocks of their own, and how they inherit the rest.

use super::settings::{self, LIMITS};
use super::{breaker, cache, concurrency, fallback, headers, path_template, quota, retry, timeout};
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::{Operation, Policy, Window};

const OPERATION: Fields = Fields {
    known: &[
        "name",
        "match",
        "timeout",
        "retry",
        "breaker",
        "concurrency",
        "quota",
        "cache",
        "fallback",
        "fallbackOn",
        "fallbackStatuses",
        "headers",
        "limits",
    ],
    unbuilt: &[
        ("hedge", settings::HEDGE),
        ("credentials", settings::CREDENTIALS),
        ("access", settings::ACCESS),
        ("faults", settings::FAULTS),
    ],
};

const MATCH: Fields = Fields::all(&["methods", "path"]);
const MOST_OPERATIONS: usize = 200;

/// Reads the policy of an upstream and its operations.
pub(super) fn read_all(spec: &Object) -> (Policy, Vec<Operation>) {
    let mut policy = policy(spec, None);
    let window_given = spec.get("breaker").is_some_and(|place| place.holds("window"));
    let mut operations: Vec<Operation> = Vec::new();
    for place in spec.read("operations", |place| place.list(MOST_OPERATIONS)).unwrap_or_default() {
        let Some(block) = place.object(OPERATION) else { continue };
        if let Some(operation) = read(&block, &policy, window_given) {
            let repeated = operations.iter().any(|earlier| earlier.name == operation.name);
            block.contradiction("name", &[], repeated, || {
                "is the name of an earlier operation, too".to_owned()
            });
            operations.push(operation);
        }
    }
    if !window_given {
        widen_shared_window(&mut policy, &mut operations);
    }
    (policy, operations)
}

fn read(block: &Object, upstream: &Policy, window_given: bool) -> Option<Operation> {
    let name = block.required("name", |place| place.line(63));
    let matched = block.required("match", |place| place.object(MATCH));
    let path = matched.as_ref().and_then(|matched| matched.required("path", path_template::read));
    let methods =
        matched.and_then(|matched| matched.read("methods", |place| place.list_of(16, Place::method)));
    let policy = policy(block, Some(upstream));
    let own_breaker = block.has("breaker");
    if let Window::Duration(window) = upstream.breaker.window
        && window_given
        && !own_breaker
        && let Some(reason) = breaker::too_short(window, &policy.timeout)
    {
        block.contradiction("timeout", &[], true, || reason);
    }
    Some(Operation {
        name: name?.to_owned(),
        methods: methods.unwrap_or_default(),
        path: path?,
        policy,
        own_breaker,
        own_concurrency: block.has("concurrency"),
        own_retry: block.has("retry"),
        own_quota: block.has("quota"),
    })
}

/// Reads the blocks of an upstream, or of an operation that inherits those it does not give.
fn policy(spec: &Object, base: Option<&Policy>) -> Policy {
    let timeout = block(spec, base, "timeout", timeout::FIELDS, |base| &base.timeout, timeout::read);
    let limits = block(spec, base, "limits", LIMITS, |base| &base.limits, settings::limits);
    let read_retry = |object: &Object| retry::read(object, &limits);
    let mut retry = block(spec, base, "retry", retry::FIELDS, |base| &base.retry, read_retry);
    retry.max_body = retry.max_body.min(limits.request);
    let read_breaker = |object: &Object| breaker::read(object, &timeout, &retry);
    let breaker = block(spec, base, "breaker", breaker::FIELDS, |base| &base.breaker, read_breaker);
    let concurrency =
        block(spec, base, "concurrency", concurrency::FIELDS, |base| &base.concurrency, concurrency::read);
    let inherited = base.and_then(|base| base.quota.clone());
    let given = spec.read("quota", |place| quota::read(&place.object(quota::FIELDS)?));
    let quota = if spec.has("quota") { given } else { inherited };
    let cache = block(spec, base, "cache", cache::FIELDS, |base| &base.cache, cache::read);
    let fallback = fallback::read(spec, base.map(|base| &base.fallback), cache.mode);
    let headers = block(spec, base, "headers", headers::FIELDS, |base| &base.headers, headers::read);
    Policy { timeout, retry, breaker, concurrency, quota, cache, fallback, headers, limits }
}

fn block<T: Clone>(
    spec: &Object,
    base: Option<&Policy>,
    name: &str,
    fields: Fields,
    part: impl Fn(&Policy) -> &T,
    read: impl Fn(&Object) -> T,
) -> T {
    match base {
        Some(base) if !spec.has(name) => part(base).clone(),
        _ => read(&spec.block(name, fields)),
    }
}

/// A breaker that operations share must see two of the longest attempts among them.
fn widen_shared_window(policy: &mut Policy, operations: &mut [Operation]) {
    let own = breaker::default_window(&policy.timeout, &policy.retry);
    let sharing = || operations.iter().filter(|operation| !operation.own_breaker);
    let widest = sharing()
        .map(|operation| breaker::default_window(&operation.policy.timeout, &operation.policy.retry))
        .fold(own, Ord::max);
    policy.breaker.window = Window::Duration(widest);
    for operation in operations.iter_mut().filter(|operation| !operation.own_breaker) {
        operation.policy.breaker.window = Window::Duration(widest);
    }
}
