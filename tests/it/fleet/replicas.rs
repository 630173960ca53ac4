//! Who lives.

use rustix::process::Signal;

use super::*;

async fn until_live(app: &TestApp, count: f64, what: &str) {
    until(what, SOON, async || app.metric("levee_replicas").await == Some(count)).await;
}

#[tokio::test]
async fn replicas_hear_of_each_other_and_forget_who_is_gone() {
    let (server, mut redis) = (Misbehaving::start().await, RedisServer::start().await);
    let mut apps = replicas(3, &document(&server, "owner: team"), &redis.url()).await;
    let status = apps[0].status().await;
    let names = status["replicas"].as_array().unwrap();
    assert!(names.len() == 3 && names.contains(&status["replica"]), "{status}");
    // 3 a second over 10 s, of which each has a third.
    let budget = "levee_retry_budget_remaining{upstream=\"api\"}";
    assert_eq!(apps[0].metric(budget).await, Some(10.0));

    redis.stop();
    until("Redis is away", SOON, async || {
        apps[0].metric("levee_dependency_up{dependency=\"redis\"}").await == Some(0.0)
    })
    .await;
    assert_eq!(apps[0].metric("levee_replicas").await, Some(3.0), "what was known last counts");
    redis.start_again().await;

    let mut leaving = apps.pop().unwrap();
    leaving.signal(Signal::TERM);
    leaving.wait_exit(SOON).await;
    until_live(&apps[0], 2.0, "who says goodbye is forgotten").await;
    drop(apps.pop());
    until_live(&apps[0], 1.0, "who dies is forgotten").await;
    assert_eq!(apps[0].metric(budget).await, Some(30.0));
}
