//! A real API server that is cut off, or restarted by the command in `LEVEE_TEST_KUBERNETES_RESTART`: calls go on, and what
//! happened meanwhile is made up for.

use std::process::Command;

use super::*;
use crate::support::redis::Fault;

/// Restarts it where there is a way to, and says so where there is none.
async fn restart(real: &Real) -> bool {
    let Ok(command) = std::env::var("LEVEE_TEST_KUBERNETES_RESTART") else {
        println!("skipped: LEVEE_TEST_KUBERNETES_RESTART names no command");
        return false;
    };
    let restarting = tokio::task::spawn_blocking(move || Command::new("sh").arg("-c").arg(command).status());
    assert!(restarting.await.unwrap().unwrap().success());
    until("the API server answers", Duration::from_secs(60), async || {
        real.upstreams().list(&ListParams::default()).await.is_ok()
    })
    .await;
    true
}

#[tokio::test]
async fn what_changes_while_a_real_api_server_is_out_of_reach_is_made_up_for() {
    with_cluster(async |real| {
        for name in ["rates", "going"] {
            real.apply(name, real.spec()).await.unwrap();
        }
        let (replica, key) = real.replica().await;
        until("it leads", SOON, async || leads(&replica).await).await;
        real.proxy.set(Fault::Refuse);
        until("it is told", SOON, async || replica.status().await["kubernetes"]["up"] == false).await;
        real.upstreams().delete("going", &DeleteParams::default()).await.unwrap();
        real.apply("later", real.spec()).await.unwrap();
        // It forgets versions when it restarts: what the replica has seen last is too old then.
        restart(real).await;
        for name in ["rates", "going"] {
            assert_eq!(replica.call(&key, &format!("/proxy/{name}/ok")).await.status, 200);
        }
        assert_eq!(client::get(replica.ops, "/readyz").await.status, 200);
        until("it leads no longer", SOON, async || !leads(&replica).await).await;
        real.proxy.set(Fault::Pass);
        let began = Instant::now();
        until_answered(&replica, &key, "/proxy/later/ok", 200).await;
        until_answered(&replica, &key, "/proxy/going/ok", 404).await;
        println!("what had changed counted {:?} after the API server was back", began.elapsed());
        until("it leads", SOON, async || leads(&replica).await).await;
        real.until_condition("later", "Accepted", "True/Accepted").await;
        assert_eq!(replica.status().await["kubernetes"]["up"], true);
    })
    .await;
}

#[tokio::test]
async fn a_restart_of_a_real_api_server_stops_no_call() {
    with_cluster(async |real| {
        real.apply("rates", real.spec()).await.unwrap();
        let (replica, key) = real.replica().await;
        until("it leads", SOON, async || leads(&replica).await).await;
        let calling = async {
            let mut calls = 0;
            loop {
                assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
                calls += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                if calls % 50 == 0 {
                    assert_eq!(client::get(replica.ops, "/readyz").await.status, 200);
                }
            }
        };
        tokio::select! {
            restarted = restart(real) => if !restarted { return },
            () = calling => {}
        }
        let began = Instant::now();
        real.apply("later", real.spec()).await.unwrap();
        until_answered(&replica, &key, "/proxy/later/ok", 200).await;
        println!("a change counted {:?} after the restart", began.elapsed());
        real.until_condition("later", "Accepted", "True/Accepted").await;
        until("it leads", SOON, async || leads(&replica).await).await;
    })
    .await;
}
