//! Quotas: what is refused, and what is not built.

use super::*;

#[test]
fn a_quota_is_a_rate_with_bounds() {
    let no_rate =
        |rate: &str| format!("1: quota.rate: `{rate}` is not a rate such as `100/s`, `600/m`, `5000/h`");
    for rate in ["100s", "100/", "/s", "1.5/s", "-1/s", "100/week", "100/10s", "100 / s"] {
        assert_eq!(said(&format!("quota: {{ rate: {rate} }}")), [no_rate(rate)]);
    }
    each_is_refused(&[
        ("quota: { burst: 5 }", "1: quota.rate: required, but not given"),
        ("quota: { rate: 0/s }", "1: quota.rate: must be at least 1"),
        ("quota: { rate: 1000001/h }", "1: quota.rate: must be at most 1000000"),
        ("quota: { rate: 1/s, burst: 0 }", "1: quota.burst: must be at least 1"),
        ("quota: { rate: 1/s, burst: 100001 }", "1: quota.burst: must be at most 100000"),
        (
            "quota: { rate: 1/s, onExhausted: queue }",
            "1: quota.onExhausted: `queue` is not a value; use one of `wait`, `reject`",
        ),
        (
            "quota: { rate: 1/s, onExhausted: [wait] }",
            "1: quota.onExhausted: must be a single value, not a list",
        ),
        (
            "quota: { rate: 1/s, scope: repica }",
            "1: quota.scope: `repica` is not a value; did you mean `replica`?",
        ),
        (
            "quota: { rate: 1/s, scope: replica, onStoreLoss: open }",
            "1: quota.onStoreLoss: has no effect with `scope: replica`, which shares nothing",
        ),
        (
            "quota: { rate: 1/s, onStoreLoss: share }",
            "1: quota.onStoreLoss: `share` is not a value; use one of `local_share`, `open`, `closed`",
        ),
        ("quota:", "1: quota: is empty; give it fields or leave it out"),
        ("quota: 100/s", "1: quota: must be a mapping of fields"),
    ]);
    each_is_accepted(&["quota: { rate: 1/d }", "quota: { rate: 1000000/s, burst: 100000 }"]);
}

#[test]
fn what_is_not_built_of_it_says_so() {
    let expected = "1: quota.onExhausted: not supported yet: calls cannot be stored and sent later";
    each_is_refused(&[("quota: { rate: 1/s, onExhausted: defer }", expected)]);
}
