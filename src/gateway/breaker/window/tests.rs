//! The window against counts made by hand.

use std::time::Duration;

use super::*;

const GOOD: Mark = Mark { failed: false, slow: false };
const BAD: Mark = Mark { failed: true, slow: false };
const SECOND: u64 = 1_000_000_000;

fn ten_seconds() -> Window {
    Window::new(policy::Window::Duration(Duration::from_secs(10)), 4)
}

#[test]
fn a_call_is_remembered_for_ten_buckets_and_not_longer() {
    let window = ten_seconds();
    window.record(5 * SECOND, BAD, 1);
    assert_eq!(window.totals(14 * SECOND + SECOND / 2).failures, 1);
    assert_eq!(window.totals(15 * SECOND).failures, 0);
}

#[test]
fn a_gap_of_any_length_clears_it() {
    // 256 laps of ten buckets bring the eight-bit tag back to the same value.
    for gap in [10, 11, 99, 2_559, 2_560, 2_561, 25_600] {
        let window = ten_seconds();
        (0..10).for_each(|second| _ = window.record(second * SECOND, BAD, 1));
        assert_eq!(window.totals((9 + gap) * SECOND), Totals::default(), "gap {gap}");
        window.record((9 + gap) * SECOND, GOOD, 1);
        assert_eq!(window.totals((9 + gap) * SECOND), Totals { calls: 1, failures: 0, slow: 0 });
    }
}

#[test]
fn a_verdict_is_due_at_the_minimum_at_every_bad_call_and_at_every_new_bucket() {
    let window = ten_seconds();
    assert_eq!(window.record(0, BAD, 3), None, "below the minimum");
    assert_eq!(window.record(0, GOOD, 3), None, "below the minimum");
    assert!(window.record(0, GOOD, 3).is_some(), "the minimum is reached by a good call");
    assert_eq!(window.record(0, GOOD, 3), None, "a good call makes nothing worse");
    assert!(window.record(0, BAD, 3).is_some());
    assert!(window.record(SECOND, GOOD, 3).is_some(), "a new bucket: others fell out");
    assert_eq!(window.record(SECOND, GOOD, 3), None);
    window.judge_anew();
    assert!(window.record(SECOND, GOOD, 3).is_some());
}

#[test]
fn a_call_that_comes_a_lap_late_is_not_counted_among_newer_ones() {
    let window = ten_seconds();
    window.record(30 * SECOND, GOOD, 1);
    window.record(20 * SECOND, BAD, 1);
    window.record(29 * SECOND, GOOD, 1);
    assert_eq!(window.totals(30 * SECOND), Totals { calls: 2, failures: 0, slow: 0 });
}

#[test]
fn a_window_of_calls_holds_the_last_so_many() {
    for calls in [1_u32, 3, 9, 10, 20, 25, 100] {
        let window = Window::new(policy::Window::Calls(calls), 2);
        (0..1_000).for_each(|_| _ = window.record(0, BAD, 1));
        (0..1_000).for_each(|_| _ = window.record(0, GOOD, 1));
        let held = window.totals(0);
        let bucket = u64::from(calls).div_ceil(10);
        assert_eq!(held.failures, 0);
        assert!(held.calls > u64::from(calls) - bucket && held.calls < u64::from(calls) + bucket, "{held:?}");
    }
}

#[test]
fn a_window_of_calls_reaches_a_minimum_as_large_as_itself() {
    for calls in [1, 3, 20, 25, 99] {
        let window = Window::new(policy::Window::Calls(calls), 2);
        assert!((0..2 * calls).any(|_| window.record(0, GOOD, calls).is_some()), "{calls}");
    }
}

#[test]
fn a_full_count_halves_all_three_so_that_rates_stay() {
    let mark = Mark { failed: true, slow: false };
    let half = Bucket::new(9, 300_000, FAILURES, 50_000).plus(9, mark).expect("the same lap");
    assert_eq!(half, Bucket::new(9, 150_001, FAILURES / 2 + 1, 25_000));
    let half = Bucket::new(9, CALLS, 4, 2).plus(9, GOOD).expect("the same lap");
    assert_eq!(half, Bucket::new(9, CALLS / 2 + 1, 2, 1));
}

#[test]
fn a_bucket_of_an_earlier_lap_is_replaced_and_one_of_a_later_lap_is_left_alone() {
    let bucket = Bucket::new(255, 7, 7, 7);
    assert_eq!(bucket.plus(0, BAD), Some(Bucket::new(0, 1, 1, 0)));
    assert_eq!(bucket.plus(254, BAD), None);
    assert_eq!(Bucket(0).plus(200, BAD), Some(Bucket::new(200, 1, 1, 0)));
}

#[test]
fn threads_lose_no_call() {
    let window = ten_seconds();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let window = &window;
            scope.spawn(move || {
                (0..10_000).for_each(|call| {
                    window.record(call * SECOND / 2_000, if thread == 0 { BAD } else { GOOD }, 1);
                });
            });
        }
    });
    assert_eq!(window.totals(5 * SECOND), Totals { calls: 40_000, failures: 10_000, slow: 0 });
}
