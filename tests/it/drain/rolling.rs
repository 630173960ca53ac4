//! A rolling restart: two replicas behind a balancer, one stopped after the other, and nobody notices.

use std::time::{Duration, Instant};

use super::{SOON, upstream};
use crate::support::balancer::Balancer;
use crate::support::control::{Deployment, Replica};
use crate::support::misbehaving::Misbehaving;
use crate::support::postgres::Database;
use crate::support::until::until;
use load::Load;

/// Clients that keep their connections and try nothing twice.
mod load;

const RESTARTS: usize = 10;

/// Longer than the balancer takes to notice, and than a client leaves a connection unused.
const DELAY: Duration = Duration::from_secs(1);

/// For the slowest call, ten times over.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What a replica must have answered before the other one may go.
const SERVED: f64 = 50.0;

fn documents(server: &Misbehaving) -> String {
    let plain = upstream(server, super::ALONE);
    format!("{plain}  access: {{ allow: [any_authenticated] }}\n")
}

fn deployment(database: &Database, server: &Misbehaving) -> Deployment {
    let mut deployment = Deployment::on_postgres(database.url());
    deployment.write_upstreams(&documents(server));
    deployment.env("LEVEE_DRAIN_DELAY", format!("{}ms", DELAY.as_millis()));
    deployment.env("LEVEE_DRAIN_TIMEOUT", format!("{}s", TIMEOUT.as_secs()));
    deployment
}

/// A replica that knows the caller's key, behind the balancer.
async fn join(deployment: &Deployment, balancer: &mut Balancer) -> Replica {
    let replica = deployment.replica().await;
    balancer.add(replica.data, replica.ops).await;
    replica
}

/// Calls that this process has answered with the upstream's answer.
async fn answered(replica: &Replica) -> f64 {
    let mut calls = 0.0;
    for method in ["GET", "POST"] {
        let series =
            format!(r#"levee_calls_total{{upstream="quotes",method="{method}",outcome="upstream"}}"#);
        calls += replica.metric(&series).await.unwrap_or_default();
    }
    calls
}

async fn serves(replica: &Replica) {
    until("the replica has its share of the calls", SOON, async || answered(replica).await >= SERVED).await;
}

/// It ends by itself, with exit code 0, in time, and has cut nothing.
async fn stop(replica: Replica) {
    let told = Instant::now();
    let log = replica.stop().await;
    assert!(told.elapsed() < DELAY + TIMEOUT, "it took {:?}", told.elapsed());
    assert!(!log.iter().any(|line| line.contains("overran")), "{}", log.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_two_replicas_are_restarted_ten_times_in_turn() {
    let (database, server) = (Database::migrated().await, Misbehaving::start().await);
    let deployment = deployment(&database, &server);
    let mut balancer = Balancer::start().await;
    let mut serving = join(&deployment, &mut balancer).await;
    let key = serving.admin().await.key("caller").await;
    let mut next = join(&deployment, &mut balancer).await;
    until("both know the key", SOON, async || next.call(&key, "/proxy/quotes/ok").await.status == 200).await;
    let probes = server.seen_in_all();

    let load = Load::start(balancer.address, &key);
    for _ in 0..RESTARTS {
        serves(&serving).await;
        serves(&next).await;
        stop(next).await;
        next = std::mem::replace(&mut serving, join(&deployment, &mut balancer).await);
    }
    serves(&serving).await;

    let outcome = load.stop().await;
    assert!(
        outcome.failed.is_empty(),
        "{} of {}: {:#?}",
        outcome.failed.len(),
        outcome.answered,
        outcome.failed
    );
    assert_eq!(outcome.answered, server.seen_in_all() - probes, "each call was made once");
    assert!(outcome.answered > 20 * RESTARTS * 10, "{}", outcome.answered);
}
