//! Admission and settlement on a closed breaker, alone and with two threads on the same one. Goal: under 100 ns a
//! call, the same for both.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use levee::gateway::breaker::{Breaker, Outcome};
use levee::models::policy;

/// Adds this file's measurements.
pub(crate) fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker_admit_settle");
    for threads in [1, 2] {
        let breaker = Breaker::new(&settings(), Box::new(|_| {}));
        let name = format!("{threads}_threads");
        group.bench_function(name, |bencher| bencher.iter_custom(|calls| run(&breaker, threads, calls)));
    }
    group.finish();
}

/// The time `calls` take on each of `threads` threads at once.
fn run(breaker: &Arc<Breaker>, threads: u64, calls: u64) -> Duration {
    let start = Instant::now();
    std::thread::scope(|scope| {
        (1..threads).for_each(|caller| _ = scope.spawn(move || make_calls(breaker, caller, calls)));
        make_calls(breaker, 0, calls);
    });
    start.elapsed()
}

fn make_calls(breaker: &Breaker, caller: u64, calls: u64) {
    for _ in 0..calls {
        let permit = breaker.try_acquire(black_box(caller)).expect("a closed breaker admits");
        permit.finish(black_box(Outcome::Success));
    }
}

fn settings() -> policy::Breaker {
    policy::Breaker {
        window: policy::Window::Duration(Duration::from_secs(30)),
        minimum_calls: 20,
        failure_rate: 0.5,
        fail_on: vec![],
        fail_statuses: vec![],
        consecutive_failures: 5,
        slow_call: None,
        open_base: Duration::from_secs(5),
        open_cap: Duration::from_secs(60),
        probes: 3,
        mode: policy::BreakerMode::Auto,
        adopt: false,
    }
}
