//! Many threads at once, on paused time.

use std::sync::Barrier;

use super::*;

/// Runs `work` on `count` threads that start together and see the test's paused clock.
fn together<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let runtime = tokio::runtime::Handle::current();
    let start = Barrier::new(count as usize);
    let (runtime, start, work) = (&runtime, &start, &work);
    std::thread::scope(|scope| {
        let run = move |number| {
            let _clock = runtime.enter();
            start.wait();
            work(number)
        };
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn a_thousand_threads_at_the_end_of_the_open_period_make_three_probes_and_one_event() {
    let (breaker, heard) = watched(&settings());
    trip(&breaker);
    wait_out_the_open_period(&breaker).await;
    let answers = together(1_000, |caller| breaker.try_acquire(caller));
    let (admitted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((admitted.len(), refused.len()), (3, 997));
    assert_eq!(heard.lock().iter().filter(|event| event.to == State::HalfOpen).count(), 1);
    for permit in admitted {
        permit.expect("admitted").finish(Outcome::Success);
    }
    assert_eq!(breaker.view().state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_tasks_that_fail_at_once_open_it_once() {
    let (breaker, heard) = watched(&settings());
    let permits: Vec<_> = (0..1_000).map(|caller| breaker.try_acquire(caller).unwrap()).collect();
    let permits = Mutex::new(permits);
    together(100, |_| {
        for _ in 0..10 {
            let permit = permits.lock().pop().expect("ten for each");
            permit.finish(BAD);
        }
    });
    assert_eq!(heard.lock().len(), 1);
    let ledger = breaker.view().ledger;
    assert_eq!((ledger.outstanding, ledger.failure + ledger.stale), (0, 1_000));
    assert!(ledger.failure >= 20);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_adds_up_under_threads_and_events_chain() {
    let (breaker, heard) = watched(&settings());
    for _ in 0..20 {
        together(8, |thread| {
            for round in 0..200 {
                let Ok(permit) = breaker.try_acquire(thread) else { continue };
                match (thread + round) % 4 {
                    0 => permit.finish(Outcome::Success),
                    1 => permit.finish(BROKEN),
                    2 => permit.finish(BAD),
                    _ => drop(permit),
                }
            }
        });
        advance(Duration::from_secs(7)).await;
    }
    let ledger = breaker.view().ledger;
    assert_eq!(ledger.admitted + ledger.rejected, 20 * 8 * 200);
    assert_eq!(ledger.outstanding, 0);
    let heard = heard.lock();
    assert!(heard.len() > 2);
    assert_eq!(heard[0].from, State::Closed);
    for (earlier, later) in heard.iter().zip(heard.iter().skip(1)) {
        assert_eq!((later.from, later.epoch), (earlier.to, earlier.epoch + 1));
    }
}
