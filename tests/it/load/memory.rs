//! A thousand hung calls cost a bounded amount of memory, once.

use super::{CROWD, Crowd, patient};
use crate::support::levee::TestApp;
use crate::support::misbehaving::Misbehaving;

/// Most a hung call may cost: its two connections' buffers, its head and its task. Unoptimised builds included.
const PER_CALL: u64 = 128 * 1024;
/// Growth from the first crowd to the last that counts as none: the allocator gives pages back when it pleases, but
/// five crowds that each left something behind would come to more.
const NOISE: u64 = 32 * 1024 * 1024;

#[tokio::test]
async fn memory_is_bounded_with_a_thousand_hung_calls_and_does_not_grow_from_crowd_to_crowd() {
    let mire = Misbehaving::start().await;
    let app = TestApp::start(patient("mire", &mire)).await;
    let empty = app.resident_memory();
    let mut levels = Vec::new();
    for _ in 0..5 {
        let crowd = Crowd::gather(&app, &mire).await;
        let full = app.resident_memory();
        crowd.leave(&app).await;
        levels.push((full, app.resident_memory()));
    }
    println!("resident: {empty} empty, {levels:?} with each crowd and after it");
    for (full, _) in &levels {
        assert!(full - empty < PER_CALL * CROWD as u64, "{} bytes a call", (full - empty) / CROWD as u64);
    }
    let (first, last) = (levels[0], levels[4]);
    assert!(last.0 < first.0 + NOISE, "the crowd costs more each time: {levels:?}");
    assert!(last.1 < first.1 + NOISE, "it grows from crowd to crowd: {levels:?}");
}
