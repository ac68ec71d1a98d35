//! Each fault of each wrapper does what its name says, seen from the other side.

mod agent;
mod channel;
mod gateway;
mod http;
mod laws;
mod model;
mod plan;
mod skill;
mod source;
mod store;

use std::time::Duration;

use openclaw_core::{Context, Happened, Result, TenantId};
use openclaw_testkit::fault::{Fault, Plan, Power};
use tokio::time::{Instant, timeout};

const MINUTE: Duration = Duration::from_secs(60);

fn context() -> Context {
    Context::new(TenantId::new("acme").unwrap())
}

/// A plan with this fault at the next operation of this name.
fn once(op: &str, fault: Fault) -> Plan {
    let plan = Plan::new(Power::on());
    plan.nth(op, 1, fault);
    plan
}

/// Nothing comes of it within an hour.
async fn hangs<T>(work: impl Future<Output = T>) {
    assert!(timeout(MINUTE * 60, work).await.is_err(), "it came to an end");
}

/// What comes of it, after exactly so long.
async fn after<T>(wait: Duration, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let outcome = work.await;
    assert_eq!(began.elapsed(), wait);
    outcome
}

/// It failed, and says this about the effect.
fn failed<T: std::fmt::Debug>(outcome: Result<T>, happened: Happened) {
    assert_eq!(outcome.unwrap_err().happened(), happened);
}

/// What was injected is this, once.
fn injected(plan: &Plan, fault: Fault) {
    assert_eq!(plan.injected().into_iter().collect::<Vec<_>>(), [(fault.name(), 1)]);
}
