//! Random operations on a model, SQLite and PostgreSQL: the three never differ, neither in what an operation answers
//! nor in what is kept.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::{postgres, sqlite};
use model::Model;
use operations::{Operation, operation, run};

/// The same rules in plain maps.
mod model;
/// What can be done, and doing it to a store.
mod operations;

/// How many histories, each on fresh databases.
const HISTORIES: u32 = 12;

#[test]
fn a_model_sqlite_and_postgres_never_differ() {
    let given = std::env::var("LEVEE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
    let config = Config {
        cases: HISTORIES,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let histories = prop::collection::vec(operation(), 1..90);
    let run = TestRunner::new(config).run(&histories, |history| runtime.block_on(compare(history)));
    run.unwrap_or_else(|error| panic!("LEVEE_TEST_SEED={seed}: {error}"));
}

async fn compare(history: Vec<Operation>) -> Result<(), TestCaseError> {
    let (sqlite, postgres) = (sqlite().await, postgres().await);
    let mut model = Model::default();
    for (step, operation) in history.iter().enumerate() {
        let expected = model.run(step, operation);
        let on_sqlite = run(&sqlite, step, operation).await;
        let on_postgres = run(&postgres, step, operation).await;
        prop_assert_eq!(&on_sqlite, &expected, "SQLite, step {}: {:?}", step, operation);
        prop_assert_eq!(&on_postgres, &expected, "PostgreSQL, step {}: {:?}", step, operation);
    }
    let expected = model.all();
    prop_assert_eq!(operations::all(&sqlite).await, expected.clone(), "what SQLite keeps");
    prop_assert_eq!(operations::all(&postgres).await, expected, "what PostgreSQL keeps");
    sqlite.close().await;
    postgres.close().await;
    Ok(())
}
