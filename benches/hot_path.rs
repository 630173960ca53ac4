//! What the hot path costs in one process: `make bench`. Servers are compared in `load/`.

use criterion::Criterion;

#[path = "hot_path/breaker.rs"]
mod breaker;
#[path = "hot_path/cache.rs"]
mod cache;
#[path = "hot_path/pipeline.rs"]
mod pipeline;
#[path = "hot_path/shared_cache.rs"]
mod shared_cache;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    breaker::bench(&mut criterion);
    cache::bench(&mut criterion);
    shared_cache::bench(&mut criterion);
    pipeline::bench(&mut criterion);
    criterion.final_summary();
}
