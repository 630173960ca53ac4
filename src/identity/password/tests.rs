//! The pool: a few at a time, a short queue, and turns that are given back.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::error::Kind;

fn secret() -> SecretString {
    SecretString::from("correct horse battery")
}

/// Work that goes on until it is told to end, and says when it began.
struct Held {
    began: oneshot::Receiver<()>,
    end: mpsc::Sender<()>,
}

fn held(pool: &Passwords) -> (Held, tokio::task::JoinHandle<Result<(), Failure>>) {
    let (started, began) = oneshot::channel();
    let (end, ended) = mpsc::channel();
    let pool = pool.clone();
    let running = tokio::spawn(async move {
        pool.run(move |_| {
            let _ = started.send(());
            // An error means that the test dropped its end.
            let _ = ended.recv();
        })
        .await
    });
    (Held { began, end }, running)
}

#[tokio::test]
async fn a_password_is_hashed_and_found_again() {
    let pool = Passwords::new();
    let kept = pool.hash(secret()).await.unwrap();
    assert_eq!(pool.verify(secret(), Some(kept)).await.unwrap(), Verdict::Right { rehash: None });
    assert_eq!(pool.verify(secret(), None).await.unwrap(), Verdict::Wrong);
    assert_eq!(pool.verify(secret(), Some("odd".into())).await.unwrap_err().kind(), Kind::Internal);
}

#[tokio::test]
async fn never_more_run_at_once_than_there_are_turns() {
    let pool = Passwords::of(2);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let jobs = (0..20).map(|_| {
        let (pool, running, most) = (pool.clone(), Arc::clone(&running), Arc::clone(&most));
        tokio::spawn(async move {
            let job = move |_: &mut argon::Memory| {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::yield_now();
                running.fetch_sub(1, SeqCst);
            };
            pool.run(job).await
        })
    });
    for job in jobs.collect::<Vec<_>>() {
        job.await.unwrap().unwrap();
    }
    assert!((1..=2).contains(&most.load(SeqCst)));
}

#[tokio::test]
async fn a_full_queue_and_a_long_wait_are_unavailable_and_say_when_to_come_again() {
    let pool = Passwords::of(1);
    let (first, running) = held(&pool);
    first.began.await.unwrap();
    let waiting: Vec<_> = (0..QUEUE).map(|_| held(&pool)).collect();
    while pool.places.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = pool.run(|_| ()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (Kind::Unavailable, Some(Duration::from_secs(1))));

    tokio::time::pause();
    tokio::time::advance(WAIT + Duration::from_millis(1)).await;
    tokio::time::resume();
    for (_, waiting) in waiting {
        assert_eq!(waiting.await.unwrap().unwrap_err().kind(), Kind::Unavailable);
    }
    first.end.send(()).unwrap();
    running.await.unwrap().unwrap();
    pool.run(|_| ()).await.unwrap();
}

#[tokio::test]
async fn who_leaves_gives_its_place_away_and_its_turn_when_the_hash_is_done() {
    let pool = Passwords::of(1);
    let (first, leaving) = held(&pool);
    first.began.await.unwrap();
    let (second, waiting) = held(&pool);
    while pool.places.available_permits() > QUEUE - 1 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(second);
    assert_eq!((pool.places.available_permits(), pool.turns.available_permits()), (QUEUE, 0));

    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    assert_eq!(pool.turns.available_permits(), 0, "it still hashes");
    first.end.send(()).unwrap();
    pool.run(|_| ()).await.unwrap();
}

#[tokio::test]
async fn a_panic_is_told_to_who_waits_and_takes_no_thread_away() {
    let pool = Passwords::of(1);
    let failed = pool.run(|_| panic!("on purpose")).await;
    assert_eq!(failed.unwrap_err().kind(), Kind::Internal);
    pool.run(|_| ()).await.unwrap();
}
