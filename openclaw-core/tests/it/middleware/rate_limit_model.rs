//! The limit against a plain bucket: keys, changes of the quota, advice and blocks.

use std::{collections::HashMap, convert::Infallible, num::NonZeroU32, time::Duration};

use http::{Request, Response};
use openclaw_core::{
    middleware::{Quota, RateLimitLayer},
    policy::{ByStatus, Failure},
};
use proptest::prelude::*;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

const MS: i128 = 1_000_000;
const LONGEST: i128 = 300_000 * MS;

/// Milliseconds a call, and how many at once: reference and limit start from the same.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    interval: u32,
    burst: u32,
}

impl Plan {
    fn quota(self) -> Quota {
        let burst = NonZeroU32::new(self.burst).unwrap();
        Quota::new(NonZeroU32::MIN, Duration::from_millis(self.interval.into())).burst(burst)
    }

    fn interval(self) -> i128 {
        i128::from(self.interval) * MS
    }

    fn full(self) -> i128 {
        self.interval() * i128::from(self.burst)
    }
}

/// What the answer says of the other side's limit, if the call is made.
#[derive(Clone, Copy, Debug)]
enum Says {
    Nothing,
    Left { calls: u32, tenths: u32 },
    RetryAfter { seconds: u32 },
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    Call(u8, Says),
    Plan(Plan),
}

fn plans() -> impl Strategy<Value = Plan> {
    (1_u32..2_000, 1_u32..8).prop_map(|(interval, burst)| Plan { interval, burst })
}

fn steps() -> impl Strategy<Value = Step> {
    let says = prop_oneof![
        6 => Just(Says::Nothing),
        2 => (0_u32..12, 1_u32..4_000).prop_map(|(calls, tenths)| Says::Left { calls, tenths }),
        1 => (1_u32..400).prop_map(|seconds| Says::RetryAfter { seconds }),
    ];
    prop_oneof![
        2 => (0_u32..5_000).prop_map(Step::Pass),
        1 => (0_u32..400_000).prop_map(Step::Pass),
        6 => (0_u8..3, says).prop_map(|(key, says)| Step::Call(key, says)),
        1 => plans().prop_map(Step::Plan),
    ]
}

/// A bucket that holds time: a call needs an interval of it, and takes one, or more when paced.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// How much time is missing in it, and when that was so.
    missing: i128,
    seen: i128,
    paced: (i128, i128),
    silent: i128,
}

impl Bucket {
    fn new(now: i128) -> Self {
        Self { missing: 0, seen: now, paced: (0, 0), silent: 0 }
    }

    fn pass(&mut self, now: i128) {
        self.missing = (self.missing - (now - self.seen)).max(0);
        self.seen = now;
    }

    /// The wait of a call that comes now; it takes its time if there is none.
    fn call(&mut self, plan: Plan, now: i128) -> i128 {
        self.pass(now);
        let wait = (self.missing - (plan.full() - plan.interval())).max(0);
        if wait == 0 {
            let (cost, until) = self.paced;
            let cost = if now < until { cost } else { 0 };
            self.missing += plan.interval().max(cost);
        }
        wait
    }

    /// Another plan: as many calls are missing, none that it can't hold, and advice holds on.
    fn plan(&mut self, old: Plan, new: Plan, now: i128) {
        if old == new {
            return;
        }
        self.pass(now);
        let calls = |time: i128| (time * new.interval() + old.interval() - 1) / old.interval();
        let made = self.missing.min(old.full());
        let (behind, made) = (self.missing - made, calls(made).min(new.full()));
        let (spare, room) = (old.full() - old.interval(), new.full() - new.interval());
        let advised = if now < self.silent { self.silent } else { self.paced.1 };
        self.missing = if now < advised {
            ((self.missing - spare).min(advised - now) + room).max(made.min(room))
        } else {
            made + behind.min(calls(behind))
        };
    }

    fn learn(&mut self, plan: Plan, says: Says, now: i128) {
        // The end of a pace is kept in tenths of a second.
        let tenth = |t: i128| (t + 1 + 100 * MS - 1) / (100 * MS) * (100 * MS) - 1;
        let spare = plan.full() - plan.interval();
        let silence = match says {
            Says::Nothing => return,
            Says::RetryAfter { seconds } => Some(i128::from(seconds) * 1_000 * MS),
            Says::Left { calls: 0, tenths } => Some(i128::from(tenths) * 100 * MS),
            Says::Left { .. } => None,
        };
        if let Some(silence) = silence {
            let silence = silence.min(LONGEST);
            self.missing = self.missing.max(spare + silence);
            self.silent = self.silent.max(tenth(now + silence));
            self.paced = (0, 0);
            return;
        }
        let Says::Left { calls, tenths } = says else { return };
        let (calls, reset) = (i128::from(calls), i128::from(tenths) * 100 * MS);
        let cost = (reset / calls).min(LONGEST);
        let slow = cost > plan.interval();
        let cost = if slow { (cost + 999) / 1_000 * 1_000 } else { plan.interval() };
        self.missing = self.missing.max(spare - (calls - 1) * cost);
        if now >= self.silent {
            let until = tenth(now + reset.min(LONGEST));
            self.paced = if slow { (cost, until) } else { (0, 0) };
        }
    }
}

fn request(key: u8, says: Says) -> Request<()> {
    let mut request = Request::get(format!("/{key}"));
    match says {
        Says::Nothing => {}
        Says::RetryAfter { seconds } => request = request.header("retry-after", seconds),
        Says::Left { calls, tenths } => {
            let reset = format!("{}.{}", tenths / 10, tenths % 10);
            request =
                request.header("x-ratelimit-remaining", calls).header("x-ratelimit-reset", reset);
        }
    }
    request.body(()).unwrap()
}

async fn answer(request: Request<()>) -> Result<Response<()>, Failure<Infallible>> {
    let throttled = request.headers().contains_key("retry-after");
    let mut response = Response::new(());
    *response.status_mut() = if throttled { 429 } else { 200 }.try_into().unwrap();
    *response.headers_mut() = request.headers().clone();
    Ok(response)
}

async fn check(mut plan: Plan, steps: Vec<Step>) {
    let layer = RateLimitLayer::new("it", plan.quota())
        .policy(ByStatus)
        .per_key(|request: &Request<()>| request.uri().path().to_owned());
    let mut service = layer.layer(service_fn(answer));
    let mut buckets = HashMap::new();
    let (mut now, mut refused) = (0, 0);
    for step in steps {
        match step {
            Step::Pass(ms) => {
                advance(Duration::from_millis(ms.into())).await;
                now += i128::from(ms) * MS;
            }
            Step::Plan(next) => {
                buckets.values_mut().for_each(|bucket: &mut Bucket| bucket.plan(plan, next, now));
                plan = next;
                layer.set_quota(Some(plan.quota()));
            }
            Step::Call(key, says) => {
                let bucket = buckets.entry(key).or_insert_with(|| Bucket::new(now));
                let wait = bucket.call(plan, now);
                let peeked = layer.peek(&format!("/{key}")).as_nanos();
                assert_eq!(peeked, u128::try_from(wait).unwrap(), "peeked");
                let outcome = service.ready().await.unwrap().call(request(key, says)).await;
                if wait == 0 {
                    outcome.expect("there was a place");
                    bucket.learn(plan, says, now);
                    continue;
                }
                let Failure::Refused(refusal) = outcome.expect_err("there was none");
                let after = refusal.retry_after();
                assert_eq!(after.map(|a| a.as_nanos()), u128::try_from(wait).ok(), "{bucket:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(layer.snapshot().refused, refused);
}

proptest! {
    #[test]
    fn it_is_a_bucket_that_heeds_advice(
        plan in plans(), steps in prop::collection::vec(steps(), 1..120),
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(check(plan, steps));
    }
}
