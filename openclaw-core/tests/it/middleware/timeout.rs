//! Calls and attempts that take too long.

use std::{
    convert::Infallible,
    future::{pending, ready},
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, Happened, Reason, Scope, TenantId,
    middleware::{
        ConcurrencyLayer, Delays, Quota, RateLimitLayer, RetryLayer, TimeoutLayer,
        breaker::{BreakerLayer, State},
    },
    policy::{Assessment, ByStatus, Failure, Head, Policy, policy},
    skill::SkillManifest,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

fn call(context: Context) -> Call<Duration> {
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0");
    Call::skill(context, &manifest, Arc::default()).map(|_| Duration::ZERO)
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
    let hangs = service_fn(|_: Request<()>| pending::<Answer>());
    let layer = TimeoutLayer::attempt("shop", S).policy(ByStatus);
    let service = ServiceBuilder::new().layer(layer).service(hangs);
    let e = service.oneshot(Request::new(())).await.expect_err("too late");
    assert!(matches!(e, Failure::Refused(_)));
}

type Answer = Result<Response<()>, Failure<Infallible>>;

fn answer(status: u16, retry_after: &str) -> Answer {
    let response = Response::builder().status(status).header("retry-after", retry_after);
    Ok(response.body(()).unwrap())
}

/// How long an HTTP call took behind a total timeout of 5 s.
async fn shopping<L>(layers: L, request: Request<()>, status: u16) -> (Answer, Duration)
where
    L: Layer<BoxCloneSyncService<Request<()>, Response<()>, Failure<Infallible>>>,
    L::Service: Service<Request<()>, Response = Response<()>, Error = Failure<Infallible>>,
{
    let shop = service_fn(move |_: Request<()>| ready(answer(status, "60")));
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::total("shop", 5 * S).policy(ByStatus))
        .layer(layers)
        .service(BoxCloneSyncService::new(shop));
    let began = Instant::now();
    (service.oneshot(request).await, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_foreign_answer_that_leaves_no_time_for_a_retry_comes_at_once() {
    let retry = RetryLayer::new(Delays::none()).policy(ByStatus);
    let post = Request::post("/orders").body(()).unwrap();
    let (answer, took) = shopping(retry.clone(), post, 429).await;
    let answer = answer.expect("what the shop said, not a timeout");
    assert_eq!((answer.status().as_u16(), took), (429, Duration::ZERO));
    assert_eq!(answer.headers()["retry-after"], "60");
    assert_eq!((retry.snapshot().retries, retry.snapshot().given_up.time), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_call_waits_for_no_place_behind_its_deadline() {
    let limit = RateLimitLayer::new("shop", Quota::per_hour(NonZeroU32::MIN)).wait(7_200 * S);
    limit.check(&()).expect("the only place of this hour");
    let (answer, took) = shopping(limit.clone().policy(ByStatus), Request::new(()), 200).await;
    let Err(Failure::Refused(refusal)) = answer else { panic!("{answer:?}") };
    assert_eq!((refusal.reason(), refusal.happened()), (Reason::RateLimited, Happened::No));
    assert_eq!((refusal.retry_after(), took), (Some(3_600 * S), Duration::ZERO));
    assert_eq!(limit.peek(&()), 3_600 * S, "it took no place");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_call_waits_for_no_permit_behind_its_deadline() {
    let hangs = service_fn(|_: Request<()>| pending::<Answer>());
    let limit = ConcurrencyLayer::new("shop", 1).wait(60 * S).policy(ByStatus);
    let held = tokio::spawn(limit.layer(hangs).oneshot(Request::new(())));
    tokio::task::yield_now().await;
    let (answer, took) = shopping(limit, Request::new(()), 200).await;
    let Err(Failure::Refused(refusal)) = answer else { panic!("{answer:?}") };
    assert_eq!((refusal.happened(), took), (Happened::No, 5 * S), "it surely was not sent");
    held.abort();
}

#[tokio::test(start_paused = true)]
async fn foreign_calls_that_hang_behind_a_total_timeout_open_the_breaker() {
    let breaker = BreakerLayer::new("shop").policy(ByStatus);
    let handle = breaker.handle();
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::total("shop", S).policy(ByStatus))
        .layer(breaker)
        .service(service_fn(|_: Request<()>| pending::<Answer>()));
    for _ in 0..5 {
        assert_eq!(handle.state(), State::Closed);
        service.clone().oneshot(Request::new(())).await.expect_err("it hangs");
    }
    assert_eq!(handle.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn each_try_of_a_foreign_call_knows_its_number_and_the_deadline() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let busy = service_fn(move |request: Request<()>| {
        let head = Policy::<_, Response<()>, Failure<Infallible>>::head(&ByStatus, &request);
        seen.lock().unwrap().push((head.attempt, head.deadline));
        ready(answer(503, "1"))
    });
    let began = Instant::now();
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::total("shop", 5 * S).policy(ByStatus))
        .layer(TimeoutLayer::total("shop", 9 * S).policy(ByStatus))
        .layer(RetryLayer::new(Delays::none()).policy(ByStatus))
        .service(busy);
    service.oneshot(Request::new(())).await.expect("an answer, if a bad one");
    let deadline = Some(began + 5 * S);
    assert_eq!(*heads.lock().unwrap(), [(1, deadline), (2, deadline), (3, deadline)]);
}

/// A request of nobody's here, with room for a deadline.
#[derive(Clone, Default)]
struct Ask {
    until: Option<Instant>,
    attempt: u32,
}

type Told = Result<u32, Failure<Duration>>;

fn by_closures() -> impl Policy<Ask, u32, Failure<Duration>> {
    let head = |ask: &Ask| {
        let head = Head::new(Effect::Pure);
        ask.until.map_or(head, |until| head.with_deadline(until))
    };
    let assess = |outcome: Result<&u32, &Failure<Duration>>| match outcome {
        Err(Failure::Inner { error, .. }) => {
            Assessment::fault(ErrorKind::RateLimited).with_retry_after(Some(*error))
        }
        Err(Failure::Refused(refusal)) => {
            Assessment::fault(refusal.reason().kind()).refused_here(refusal.is_local())
        }
        Ok(_) => Assessment::SUCCESS,
    };
    policy(head, assess).with_stamp(|_: Ask, until, attempt| Ask { until, attempt })
}

#[tokio::test(start_paused = true)]
async fn closures_that_stamp_begin_no_pause_behind_the_deadline() {
    let attempts = Mutex::new(Vec::new());
    let busy = service_fn(|ask: Ask| {
        attempts.lock().unwrap().push(ask.attempt);
        let means = Assessment::fault(ErrorKind::RateLimited);
        ready(Told::Err(Failure::Inner { error: 4 * S, means }))
    });
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::total("remote", 5 * S).policy(by_closures()))
        .layer(RetryLayer::new(Delays::none()).policy(by_closures()))
        .service(busy);
    let began = Instant::now();
    let told = service.oneshot(Ask::default()).await;
    assert!(matches!(told, Err(Failure::Inner { .. })), "what the remote said: {told:?}");
    assert_eq!((began.elapsed(), &*attempts.lock().unwrap()), (4 * S, &vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn closures_that_stamp_wait_for_no_place_behind_the_deadline() {
    let limit = RateLimitLayer::new("remote", Quota::per_hour(NonZeroU32::MIN)).wait(7_200 * S);
    limit.check(&()).expect("the only place of this hour");
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::total("remote", 5 * S).policy(by_closures()))
        .layer(limit.policy(by_closures()))
        .service(service_fn(|_: Ask| ready(Told::Ok(1))));
    let began = Instant::now();
    let told = service.oneshot(Ask::default()).await;
    let Err(Failure::Refused(refusal)) = told else { panic!("{told:?}") };
    assert_eq!((refusal.reason(), began.elapsed()), (Reason::RateLimited, Duration::ZERO));
}

mod laws {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::{S, TimeoutLayer};

    layer_laws!("Timeout", layer::on::<Call<u64>, _>(|| TimeoutLayer::total("law", 60 * S)));
}
