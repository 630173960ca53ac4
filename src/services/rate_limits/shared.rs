//! The limits as replicas share them: one question to Redis for each request that counts.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Client, Quota, Standing, standing};
use crate::redis::{Redis, SHORT_LIMIT, Script};

static COUNT: Script = Script::new(include_str!("count.lua"));

/// Whether a request counts, or only asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    ToBeCounted,
    WhereItStands,
}

/// Where a client stands with all replicas; `None` where Redis does not say so in time.
pub(super) async fn ask(redis: &Redis, client: Client, asks: Asks) -> Option<Standing> {
    let Client(limit, id) = client;
    let quota = Quota::of(limit);
    let key = redis.key(format_args!("limit:{}:{id:032x}", limit.text()), "");
    let counts = i64::from(asks == Asks::ToBeCounted);
    let arguments = vec![micros(quota.interval()).into(), micros(quota.nanos()).into(), counts.into()];
    // Boxed, or the type of every future around it grows beyond what the compiler follows.
    let answered = redis.script::<Vec<i64>>(SHORT_LIMIT, &COUNT, vec![key], arguments).boxed().await;
    let Ok(&[ahead, over]) = answered.as_deref() else { return None };
    let nanos = |micros: i64| Duration::from_micros(micros.max(0) as u64).as_nanos() as u64;
    Some(standing(limit, nanos(ahead), (over > 0).then(|| nanos(over))))
}

fn micros(nanos: u64) -> i64 {
    (nanos / 1000).cast_signed()
}
