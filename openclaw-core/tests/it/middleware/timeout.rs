//! Calls and attempts that take too long.

use std::{future::pending, time::Duration};

use openclaw_core::{
    Call, Context, Error, Happened, Reason, Scope, TenantId,
    middleware::TimeoutLayer,
    policy::{ByStatus, Failure},
    skill::SkillManifest,
};
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};

fn call(context: Context) -> Call<Duration> {
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0");
    Call::skill(context, &manifest, std::sync::Arc::default()).map(|_| Duration::ZERO)
}

fn context() -> Context {
    Context::new(TenantId::new("acme").unwrap())
}

async fn ask(
    layer: &TimeoutLayer,
    takes: Duration,
    context: Context,
) -> Result<Call<Duration>, Error> {
    let slow = service_fn(async |call: Call<Duration>| {
        sleep(*call.payload()).await;
        Ok::<_, Error>(call)
    });
    let service = ServiceBuilder::new().layer(layer).service(slow);
    service.oneshot(call(context).map(|_| takes)).await
}

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_cut_off_and_nobody_knows() {
    for (layer, scope) in [
        (TimeoutLayer::total("crm", 2 * S), Scope::Total),
        (TimeoutLayer::attempt("crm", 2 * S), Scope::Attempt),
    ] {
        ask(&layer, S, context()).await.expect("in time");
        let began = Instant::now();
        let e = ask(&layer, 3 * S, context()).await.expect_err("too late");
        assert_eq!(began.elapsed(), 2 * S);
        assert_eq!(e.refusal().map(|r| r.reason()), Some(Reason::Timeout(scope)));
        assert_eq!(e.happened(), Happened::Maybe);
        assert!(e.to_string().contains("limit_ms=2000"), "{e}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_nearer_of_limit_and_deadline_ends_it() {
    let layer = TimeoutLayer::attempt("crm", 9 * S);
    let began = Instant::now();
    let near = context().with_deadline(began + S);
    ask(&layer, 5 * S, near).await.expect_err("too late");
    assert_eq!(began.elapsed(), S);
}

#[tokio::test(start_paused = true)]
async fn behind_the_deadline_nothing_is_sent() {
    let called = std::sync::atomic::AtomicBool::new(false);
    let inner = service_fn(async |_: Call<Duration>| {
        called.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, Error>(())
    });
    let service = ServiceBuilder::new().layer(TimeoutLayer::attempt("crm", S)).service(inner);
    let passed = context().with_deadline(Instant::now());
    let e = service.oneshot(call(passed)).await.expect_err("it has passed");
    assert_eq!(
        (e.refusal().unwrap().reason(), e.happened()),
        (Reason::DeadlineTooNear, Happened::No)
    );
    assert!(!called.load(std::sync::atomic::Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_total_timeout_narrows_the_deadline_that_inner_layers_see() {
    let now = Instant::now();
    let seen = ask(&TimeoutLayer::total("crm", 7 * S), S, context()).await.unwrap();
    assert_eq!(seen.context().deadline(), Some(now + 7 * S));
    let now = Instant::now();
    let seen = ask(&TimeoutLayer::attempt("crm", 7 * S), S, context()).await.unwrap();
    assert_eq!(seen.context().deadline(), None);
    let near = context().with_deadline(now + 3 * S);
    let seen = ask(&TimeoutLayer::total("crm", 7 * S), S, near).await.unwrap();
    assert_eq!(seen.context().deadline(), Some(now + 3 * S));
}

#[tokio::test(start_paused = true)]
async fn the_limit_changes_at_run_time() {
    let layer = TimeoutLayer::attempt("crm", S);
    layer.set_limit(Some(5 * S));
    ask(&layer, 4 * S, context()).await.expect("in time now");
    layer.set_limit(None);
    assert_eq!(layer.limit(), None);
    ask(&layer, 3_600 * S, context()).await.expect("no limit");
    layer.set_limit(Some(Duration::MAX));
    ask(&layer, 3_600 * S, context()).await.expect("as good as none");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_service_is_cut_off_too() {
    type Answer = Result<http::Response<()>, Failure<std::convert::Infallible>>;
    let hangs = service_fn(|_: http::Request<()>| pending::<Answer>());
    let layer = TimeoutLayer::attempt("shop", S).policy(ByStatus);
    let service = ServiceBuilder::new().layer(layer).service(hangs);
    let e = service.oneshot(http::Request::new(())).await.expect_err("too late");
    assert!(matches!(e, Failure::Refused(_)));
}

mod laws {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::{S, TimeoutLayer};

    layer_laws!("Timeout", layer::on::<Call<u64>, _>(|| TimeoutLayer::total("law", 60 * S)));
}
