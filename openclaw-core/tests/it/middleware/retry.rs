//! Trying again: when, how often, behind which pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Reason, Refusal,
    TenantId,
    middleware::{Budget, DelaySource, Delays, Jitter, RetryLayer},
    policy::{ByStatus, Failure, InDoubt, Policy},
    skill::SkillManifest,
};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const S: Duration = Duration::from_secs(1);

fn call(effect: Effect) -> Call<()> {
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0").effect(effect);
    let context = Context::new(TenantId::new("acme").unwrap());
    let key = IdempotencyKey::of(MessageId::from_u128(1), "find").unwrap();
    Call::skill(context, &manifest, Arc::default()).with_key(key).map(|_| ())
}

/// A remote that answers by the number of the try, and counts them.
#[derive(Clone)]
struct Remote<F> {
    tries: Arc<AtomicU32>,
    answer: F,
}

impl<F: Fn(u32) -> Result<u32, Error> + Clone + Send + Sync + 'static> Remote<F> {
    fn new(answer: F) -> Self {
        Self { tries: Arc::default(), answer }
    }

    fn tries(&self) -> u32 {
        self.tries.load(Ordering::Relaxed)
    }

    async fn ask(&self, layer: &RetryLayer, call: Call<()>) -> Result<u32, Error> {
        let this = self.clone();
        let leaf = service_fn(move |_: Call<()>| {
            let n = this.tries.fetch_add(1, Ordering::Relaxed) + 1;
            std::future::ready((this.answer)(n))
        });
        ServiceBuilder::new().layer(layer).service(leaf).oneshot(call).await
    }
}

fn down(_: u32) -> Result<u32, Error> {
    Err(Error::new(ErrorKind::Unavailable, "down").with_happened(Happened::No))
}

fn steady() -> RetryLayer {
    RetryLayer::new(Delays::constant(S))
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_in_all_and_then_marked_spent() {
    let remote = Remote::new(down);
    let began = Instant::now();
    let e = remote.ask(&steady(), call(Effect::AtMostOnce)).await.expect_err("it is down");
    assert_eq!((remote.tries(), began.elapsed()), (3, 2 * S));
    assert!(e.is_exhausted());
}

#[tokio::test(start_paused = true)]
async fn nested_retries_do_not_multiply() {
    let tries = AtomicU32::new(0);
    let leaf = service_fn(|_: Call<()>| {
        tries.fetch_add(1, Ordering::Relaxed);
        std::future::ready(down(0))
    });
    let service = ServiceBuilder::new().layer(steady()).layer(steady().attempts(4)).service(leaf);
    service.oneshot(call(Effect::Pure)).await.expect_err("it is down");
    assert_eq!(tries.load(Ordering::Relaxed), 4, "those of the inner one");
}

#[tokio::test(start_paused = true)]
async fn one_attempt_is_no_retry_and_exhausts_nothing() {
    let remote = Remote::new(down);
    let once = steady().attempts(0);
    let e = remote.ask(&once, call(Effect::Pure)).await.expect_err("it is down");
    assert_eq!((remote.tries(), e.is_exhausted()), (1, false));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_repeated_only_where_that_is_safe() {
    let maybe = |_| Err(Error::new(ErrorKind::Timeout, "no answer"));
    let tries = async |effect| {
        let remote = Remote::new(maybe);
        let e = remote.ask(&steady(), call(effect)).await.expect_err("no answer");
        (remote.tries(), e.is_exhausted())
    };
    assert_eq!(tries(Effect::Pure).await, (3, true));
    assert_eq!(tries(Effect::AtLeastOnce).await, (3, true));
    assert_eq!(tries(Effect::Keyed { retention: 60 * S }).await, (3, true));
    assert_eq!(tries(Effect::Reconcilable).await, (1, false));
    assert_eq!(tries(Effect::AtMostOnce).await, (1, false));
    // The retries come at 1 s and at 2 s: none of them behind the retention.
    assert_eq!(tries(Effect::Keyed { retention: S / 2 }).await, (1, false));
    assert_eq!(tries(Effect::Keyed { retention: S }).await, (1, false));
    assert_eq!(tries(Effect::Keyed { retention: S * 3 / 2 }).await, (2, false));
}

/// The first try may have happened; that the second surely did not changes nothing of it.
#[tokio::test(start_paused = true)]
async fn a_no_behind_a_maybe_does_not_outlive_the_key() {
    let remote = Remote::new(|n| match n {
        1 => Err(Error::new(ErrorKind::Timeout, "no answer")),
        2 => Err(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(120 * S)),
        _ => Ok(n),
    });
    let layer = steady().attempts(9);
    let e = remote.ask(&layer, call(Effect::Keyed { retention: 60 * S })).await;
    let e = e.expect_err("the third would come behind the retention");
    assert_eq!((remote.tries(), e.kind()), (2, ErrorKind::RateLimited));
    assert_eq!(e.happened(), Happened::Maybe, "the claim must not be released");
    assert_eq!(layer.snapshot().given_up.time, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_behind_a_maybe_is_in_doubt() {
    let refuse = || Refusal::new(Reason::CircuitOpen, "crm").with_retry_after(S);
    let remote = Remote::new(move |n| match n {
        1 => Err(Error::new(ErrorKind::Timeout, "no answer")),
        _ => Err(refuse().into()),
    });
    let happened = async |effect| {
        remote.tries.store(0, Ordering::Relaxed);
        let e = remote.ask(&steady(), call(effect)).await.expect_err("refused");
        (remote.tries(), e.kind(), e.happened())
    };
    let keyed = Effect::Keyed { retention: 60 * S };
    let expected = |happened| (2, ErrorKind::CircuitOpen, happened);
    assert_eq!(happened(keyed).await, expected(Happened::Maybe));
    assert_eq!(happened(Effect::AtLeastOnce).await, expected(Happened::Maybe));
    assert_eq!(happened(Effect::Pure).await, expected(Happened::No), "nothing can have happened");
}

#[tokio::test(start_paused = true)]
async fn a_response_behind_a_maybe_is_in_doubt() {
    type Answer = Result<http::Response<()>, Failure<std::convert::Infallible>>;
    let tries = AtomicU32::new(0);
    let leaf = service_fn(|_: http::Request<()>| {
        let status = [504, 404][tries.fetch_add(1, Ordering::Relaxed) as usize];
        let answer: Answer = Ok(http::Response::builder().status(status).body(()).unwrap());
        std::future::ready(answer)
    });
    let layer = RetryLayer::new(Delays::none()).policy(ByStatus);
    let delete = http::Request::delete("/orders/7").body(()).unwrap();
    let answer = ServiceBuilder::new().layer(layer).service(leaf).oneshot(delete).await;
    let means = Policy::<http::Request<()>, _, Failure<std::convert::Infallible>>::assess(
        &ByStatus,
        answer.as_ref(),
    );
    assert_eq!((means.fault, means.happened), (Some(ErrorKind::NotFound), Happened::Maybe));
}

/// A redirect says nothing of the try before it.
#[tokio::test(start_paused = true)]
async fn a_redirect_behind_a_maybe_is_marked_as_in_doubt() {
    type Answer = Result<http::Response<()>, Failure<std::convert::Infallible>>;
    let tries = AtomicU32::new(0);
    let leaf = service_fn(|_: http::Request<()>| {
        let status = [503, 308][tries.fetch_add(1, Ordering::Relaxed) as usize];
        let answer: Answer = Ok(http::Response::builder().status(status).body(()).unwrap());
        std::future::ready(answer)
    });
    let layer = RetryLayer::new(Delays::none()).policy(ByStatus);
    let put = http::Request::put("/orders/7").body(()).unwrap();
    let answer = ServiceBuilder::new().layer(layer).service(leaf).oneshot(put).await.unwrap();
    assert_eq!(answer.status(), 308);
    assert!(answer.extensions().get::<InDoubt>().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_other_sides_retry_after_is_a_floor() {
    let remote = Remote::new(|n| match n {
        1 => Err(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(7 * S)),
        _ => Ok(n),
    });
    let began = Instant::now();
    remote.ask(&steady(), call(Effect::AtMostOnce)).await.expect("the second goes well");
    assert_eq!(began.elapsed(), 7 * S);
}

#[tokio::test(start_paused = true)]
async fn a_status_of_503_is_tried_again_and_its_retry_after_kept() {
    type Answer = Result<http::Response<()>, Failure<std::convert::Infallible>>;
    let tries = AtomicU32::new(0);
    let busy = service_fn(|_: http::Request<()>| {
        let n = tries.fetch_add(1, Ordering::Relaxed);
        let mut response = http::Response::builder().status(503);
        if n == 0 {
            response = response
                .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
                .header("retry-after", "Sun, 06 Nov 1994 08:49:49 GMT");
        }
        let answer: Answer = Ok(response.body(()).unwrap());
        std::future::ready(answer)
    });
    let layer = RetryLayer::new(Delays::none()).policy(ByStatus);
    let service = ServiceBuilder::new().layer(layer.clone()).layer(layer).service(busy);
    let began = Instant::now();
    let answer = service.oneshot(http::Request::new(())).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(began.elapsed(), 12 * S);
    assert_eq!(tries.load(Ordering::Relaxed), 3, "the outer one sees that the inner one gave up");
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_is_not_begun() {
    let busy = |_| Err(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(60 * S));
    let remote = Remote::new(busy);
    let began = Instant::now();
    let near = call(Effect::Pure)
        .with_context(Context::new(TenantId::new("acme").unwrap()).with_deadline(began + 30 * S));
    let e = remote.ask(&steady(), near).await.expect_err("it is busy");
    assert_eq!(began.elapsed(), Duration::ZERO, "it gives up at once");
    assert_eq!((e.retry_after(), e.is_exhausted()), (Some(60 * S), false));
}

#[tokio::test(start_paused = true)]
async fn no_try_begins_behind_the_time_for_all_of_them() {
    let layer = steady().attempts(9).within(S * 5 / 2);
    let (remote, began) = (Remote::new(down), Instant::now());
    let e = remote.ask(&layer, call(Effect::Pure)).await.expect_err("it is down");
    assert_eq!((remote.tries(), began.elapsed()), (3, 2 * S), "it does not sleep the rest away");
    assert!(!e.is_exhausted(), "whoever has more time may go on");
    layer.set_within(None);
    let remote = Remote::new(down);
    remote.ask(&layer, call(Effect::Pure)).await.expect_err("it is down");
    assert_eq!(remote.tries(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_waited_for_beyond_the_deadline() {
    let refuse = |_| Err(Refusal::new(Reason::RateLimited, "crm").with_retry_after(9 * S).into());
    let (remote, began) = (Remote::new(refuse), Instant::now());
    let patient = steady().wait_for_refusals(5).within(8 * S);
    let e = remote.ask(&patient, call(Effect::Pure)).await.expect_err("refused");
    assert_eq!((remote.tries(), began.elapsed()), (1, Duration::ZERO));
    assert_eq!(e.retry_after(), Some(9 * S));
}

#[tokio::test(start_paused = true)]
async fn it_counts_why_it_gave_up() {
    let ask = async |layer: &RetryLayer| {
        Remote::new(down).ask(layer, call(Effect::Pure)).await.expect_err("it is down");
    };
    let layer = steady().budget(Some(Budget::new(3)));
    ask(&layer).await;
    ask(&layer).await;
    layer.set_within(Some(S));
    ask(&layer).await;
    let counted = layer.snapshot();
    let given_up = counted.given_up;
    assert_eq!((given_up.attempts, given_up.budget, given_up.time), (1, 1, 1));
    assert_eq!((given_up.total(), counted.retries), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_budget_comes_and_goes_at_run_time() {
    let layer = steady().attempts(10).budget(Some(Budget::new(2)));
    let tries = async || {
        let remote = Remote::new(down);
        remote.ask(&layer, call(Effect::Pure)).await.expect_err("it is down");
        remote.tries()
    };
    assert_eq!(tries().await, 3);
    layer.set_budget(0);
    assert_eq!((tries().await, layer.snapshot().budget), (10, None));
    layer.set_budget(50);
    assert_eq!(tries().await, 1, "it kept what it had: nothing");
}

#[tokio::test(start_paused = true)]
async fn a_builder_leaves_its_clones_alone() {
    let layer = steady();
    let other = layer.clone().attempts(7);
    let remote = Remote::new(down);
    remote.ask(&layer, call(Effect::Pure)).await.expect_err("it is down");
    assert_eq!((remote.tries(), other.snapshot().retries), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_our_own_costs_neither_try_nor_budget() {
    let refuse = |_| Err(Refusal::new(Reason::RateLimited, "crm").with_retry_after(S).into());
    let remote = Remote::new(refuse);
    let layer = steady();
    remote.ask(&layer, call(Effect::Pure)).await.expect_err("refused");
    assert_eq!((remote.tries(), layer.snapshot().budget), (1, Some(100.0)));

    let remote = Remote::new(move |n| if n < 6 { refuse(n) } else { Ok(n) });
    let patient = steady().wait_for_refusals(5);
    let began = Instant::now();
    assert_eq!(remote.ask(&patient, call(Effect::AtMostOnce)).await.expect("in the end"), 6);
    assert_eq!((began.elapsed(), patient.snapshot().budget), (5 * S, Some(100.0)));
    let remote = Remote::new(refuse);
    remote.ask(&patient, call(Effect::AtMostOnce)).await.expect_err("refused for ever");
    assert_eq!(remote.tries(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_ends_the_retrying_for_everybody() {
    let budget = Budget::new(3);
    let layer = || steady().attempts(10).budget(Some(budget.clone()));
    let remote = Remote::new(down);
    let e = remote.ask(&layer(), call(Effect::Pure)).await.expect_err("it is down");
    assert_eq!((remote.tries(), e.is_exhausted()), (4, true));
    let remote = Remote::new(down);
    remote.ask(&layer(), call(Effect::Pure)).await.expect_err("it is down");
    assert_eq!(remote.tries(), 1);
    let well = Remote::new(Ok);
    for _ in 0..5 {
        well.ask(&layer(), call(Effect::Pure)).await.expect("it goes well");
    }
    assert!((budget.left() - 1.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_retry_costs_half() {
    let busy = |_| Err(Error::new(ErrorKind::RateLimited, "slow down"));
    let layer = steady().budget(Some(Budget::new(1))).attempts(10);
    let remote = Remote::new(busy);
    remote.ask(&layer, call(Effect::Pure)).await.expect_err("it is busy");
    assert_eq!(remote.tries(), 3);
}

#[test]
fn another_most_keeps_what_is_left_as_far_as_it_fits() {
    let budget = Budget::new(10);
    let left = |expected: f64| assert!((budget.left() - expected).abs() < 1e-9, "{budget:?}");
    budget.set_most(4);
    left(4.0);
    budget.set_most(6);
    left(4.0);
    (0..100).for_each(|_| budget.deposit());
    left(6.0);
}

#[tokio::test(start_paused = true)]
async fn the_attempt_is_stamped_into_the_call() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let leaf = service_fn(|call: Call<()>| {
        seen.lock().unwrap().push(call.context().attempt());
        std::future::ready(down(0))
    });
    let service = ServiceBuilder::new().layer(steady()).service(leaf);
    let second = call(Effect::Pure).with_context(call(Effect::Pure).context().at_attempt(4));
    service.oneshot(second).await.expect_err("it is down");
    assert_eq!(*seen.lock().unwrap(), [4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_source_of_ones_own_ends_the_retrying_when_it_has_no_more() {
    struct Two;
    impl DelaySource for Two {
        fn begin(&self) -> Box<dyn FnMut() -> Option<Duration> + Send> {
            let mut pauses = vec![3 * S, 2 * S];
            Box::new(move || pauses.pop())
        }
    }
    let layer = RetryLayer::new(Delays::source(Two)).attempts(10);
    for _ in 0..2 {
        let (remote, began) = (Remote::new(down), Instant::now());
        let e = remote.ask(&layer, call(Effect::Pure)).await.expect_err("it is down");
        assert_eq!((remote.tries(), began.elapsed(), e.is_exhausted()), (3, 5 * S, true));
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_change_at_run_time() {
    let layer = steady();
    layer.set_delays(Delays::list([4 * S, S]));
    layer.set_attempts(4);
    let (remote, began) = (Remote::new(down), Instant::now());
    remote.ask(&layer, call(Effect::Pure)).await.expect_err("it is down");
    assert_eq!((remote.tries(), began.elapsed()), (4, 6 * S));
    assert_eq!(layer.snapshot().retries, 3);
}

#[test]
fn pauses_grow_by_their_factor_up_to_their_cap() {
    let delays = Delays::exponential(2 * S, 3.0, 60 * S).jitter(Jitter::None);
    let pauses = [1, 2, 3, 4, 5].map(|failed| delays.pause(failed, Duration::ZERO, 0).as_secs());
    assert_eq!(pauses, [2, 6, 18, 54, 60]);
}

#[test]
fn chance_reaches_both_ends_of_a_pause() {
    let ends = |jitter, last| {
        let delays = Delays::exponential(4 * S, 1.0, 60 * S).jitter(jitter);
        [0, u64::MAX].map(|random| delays.pause(1, last, random))
    };
    assert_eq!(ends(Jitter::Full, S), [Duration::ZERO, 4 * S]);
    assert_eq!(ends(Jitter::Equal, S), [2 * S, 4 * S]);
    assert_eq!(ends(Jitter::Decorrelated, 5 * S), [4 * S, 15 * S]);
    assert_eq!(Delays::none().jitter(Jitter::Full).pause(1, S, u64::MAX), Duration::ZERO);
}

#[test]
fn pauses_show_what_they_are() {
    let shown = format!("{:?}", Delays::exponential(S, 2.0, 5 * S).jitter(Jitter::Equal));
    assert_eq!(shown, "Exponential { base: 1s, factor: 2.0, jitter: Equal, cap: 5s }");
    let shown = format!("{:?}", Delays::list([S, 2 * S]).cap(3 * S));
    assert_eq!(shown, "List { pauses: [1s, 2s], cap: 3s }");
}

/// Pauses of one call each, of three calls of clones of one layer.
async fn sessions(layer: &RetryLayer) -> Vec<Vec<Duration>> {
    let mut all = Vec::new();
    for clone in [layer.clone(), layer.clone(), layer.clone()] {
        let times = Arc::new(std::sync::Mutex::new(vec![Instant::now()]));
        let leaf = {
            let times = Arc::clone(&times);
            service_fn(move |_: Call<()>| {
                times.lock().unwrap().push(Instant::now());
                std::future::ready(down(0))
            })
        };
        drop(clone.layer(leaf).oneshot(call(Effect::Pure)).await);
        let times = times.lock().unwrap();
        all.push(times.windows(2).map(|pair| pair[1] - pair[0]).collect());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn clones_draw_different_pauses_and_a_seed_repeats_them() {
    let layer = || RetryLayer::clients().seed(7);
    let drawn = sessions(&layer()).await;
    assert_ne!(drawn[0], drawn[1]);
    assert_ne!(drawn[1], drawn[2]);
    assert_eq!(drawn, sessions(&layer()).await);
    assert_ne!(drawn, sessions(&RetryLayer::clients().seed(8)).await);
}

#[tokio::test(start_paused = true)]
async fn a_layer_made_of_a_clone_does_not_repeat_its_pauses() {
    let layer = RetryLayer::clients().seed(7);
    let other = layer.clone().attempts(7);
    assert_ne!(sessions(&layer).await, sessions(&other).await);
    assert_ne!(sessions(&RetryLayer::clients()).await, sessions(&RetryLayer::clients()).await);
}

/// A service that takes a second to get ready, again behind each call.
#[derive(Clone)]
struct Slow {
    tries: Arc<AtomicU32>,
    since: Option<Instant>,
}

impl Service<Call<()>> for Slow {
    type Response = u32;
    type Error = Error;
    type Future = std::future::Ready<Result<u32, Error>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), Error>> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= S {
            return Poll::Ready(Ok(()));
        }
        let waker = cx.waker().clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(since + S).await;
            waker.wake();
        });
        Poll::Pending
    }

    fn call(&mut self, _: Call<()>) -> Self::Future {
        assert!(self.since.take().is_some_and(|since| since.elapsed() >= S), "it is ready");
        self.tries.fetch_add(1, Ordering::Relaxed);
        std::future::ready(down(0))
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_is_readied_before_each_try_and_may_be_dropped_then() {
    // Ready at 1 s, tried; paused until 2 s, ready at 3 s, tried; at 5 s once more.
    for (dropped_at, tries) in
        [(500, 0), (1_500, 1), (2_500, 1), (3_500, 2), (4_500, 2), (6_000, 3)]
    {
        let slow = Slow { tries: Arc::default(), since: None };
        let made = Arc::clone(&slow.tries);
        let answer =
            ServiceBuilder::new().layer(steady()).service(slow).oneshot(call(Effect::Pure));
        drop(tokio::time::timeout(Duration::from_millis(dropped_at), answer).await);
        assert_eq!(made.load(Ordering::Relaxed), tries, "dropped at {dropped_at} ms");
        sleep(60 * S).await;
        assert_eq!(made.load(Ordering::Relaxed), tries, "dropped at {dropped_at} ms");
    }
}

/// Dropped at every await point, it makes no further try.
#[tokio::test(start_paused = true)]
async fn a_dropped_call_makes_no_further_try() {
    for polls in 0..8_u64 {
        let tries = AtomicU32::new(0);
        let leaf = service_fn(|_: Call<()>| {
            tries.fetch_add(1, Ordering::Relaxed);
            async {
                sleep(S).await;
                down(0)
            }
        });
        let mut service = ServiceBuilder::new().layer(steady()).service(leaf);
        let future = service.ready().await.unwrap().call(call(Effect::Pure));
        drop(
            tokio::time::timeout(Duration::from_millis(500) * polls.try_into().unwrap(), future)
                .await,
        );
        let made = tries.load(Ordering::Relaxed);
        sleep(60 * S).await;
        assert_eq!(tries.load(Ordering::Relaxed), made);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the seed, no two of three sessions pause alike.
    #[test]
    fn no_seed_makes_clones_pause_alike(seed: u64) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let layer = RetryLayer::clients().seed(seed);
        let drawn = runtime.block_on(sessions(&layer));
        for (i, one) in drawn.iter().enumerate() {
            prop_assert_eq!(one.len(), 7);
            prop_assert!(!drawn[i + 1..].contains(one));
        }
    }
}

proptest! {
    #[test]
    fn no_pause_is_longer_than_the_cap(
        base in 0_u64..10_000, cap in 0_u64..100_000, factor in 0.0..10.0_f64,
        failed in 0_u32..100, last in 0_u64..100_000, random: u64,
        jitter in prop_oneof![Just(Jitter::Full), Just(Jitter::Equal), Just(Jitter::Decorrelated), Just(Jitter::None)],
    ) {
        let ms = Duration::from_millis;
        let delays = Delays::exponential(ms(base), factor, ms(cap)).jitter(jitter);
        let pause = delays.pause(failed, ms(last), random);
        prop_assert!(pause <= ms(cap));
        let full = delays.jitter(Jitter::None).pause(failed, ms(last), random);
        match jitter {
            Jitter::None => prop_assert_eq!(pause, full),
            Jitter::Equal => prop_assert!(pause >= full / 2 && pause <= full),
            Jitter::Full => prop_assert!(pause <= full),
            _ => prop_assert!(pause >= ms(base.min(cap))),
        }
    }

    #[test]
    fn a_budget_is_never_above_its_most(most in 0_u32..50, steps in prop::collection::vec(any::<Option<bool>>(), 0..200)) {
        let budget = Budget::new(most);
        let mut model = i64::from(most) * 10;
        for step in steps {
            match step {
                None => {
                    budget.deposit();
                    model = (model + 2).min(i64::from(most) * 10);
                }
                Some(throttled) => {
                    let price = if throttled { 5 } else { 10 };
                    let paid = model >= price;
                    prop_assert_eq!(budget.withdraw(throttled), paid);
                    model -= if paid { price } else { 0 };
                }
            }
            prop_assert!((budget.left() * 10.0 - model as f64).abs() < 1e-6);
        }
    }
}

mod laws {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::RetryLayer;

    layer_laws!(
        "Retry",
        layer::on::<Call<u64>, _>(|| RetryLayer::default().attempts(3)).attempts(3)
    );
}
