//! The shipped examples, those that are switched off included.

use super::*;
use crate::models::address::LOOPBACK;

const EXAMPLES: &str = include_str!("../../../../examples/upstreams.yaml");

fn dev() -> Rules {
    Rules { allowed_cidrs: LOOPBACK.to_vec(), ..Rules::default() }
}

#[test]
fn only_flaky_is_switched_on_and_it_trips_quickly() {
    let (upstreams, faults) = read(EXAMPLES, &dev());
    assert_eq!(faults, []);
    let [flaky] = &upstreams[..] else { panic!("one upstream, not {}", upstreams.len()) };
    assert_eq!(flaky.name, "flaky");
    assert_eq!((flaky.url.host.as_str(), flaky.url.port), ("127.0.0.1", 9099));
    assert_eq!((flaky.policy.breaker.minimum_calls, flaky.policy.breaker.consecutive_failures), (5, 3));
}

#[test]
fn the_switched_off_examples_pass_when_they_are_switched_on() {
    let lines: Vec<&str> = EXAMPLES.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let switched_on = lines.join(
        "
",
    );
    let (upstreams, mut faults) = read(&switched_on, &dev());
    check_together(&upstreams, &mut faults);
    assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    assert_eq!(names, ["flaky", "payments", "mail", "rates", "rates-backup", "language-model"]);
}
