//! Stacks that are read from the type of a composed tower service.

use std::{convert::Infallible, time::Duration};

use openclaw_testkit::lint::{Part, Reader, Stack, stack_of};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt as _, retry,
    util::{BoxService, service_fn},
};

use super::ids;

#[derive(Clone, Debug)]
struct Never;

impl<E> retry::Policy<u32, u32, E> for Never {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut u32, _: &mut Result<u32, E>) -> Option<Self::Future> {
        None
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        Some(*request)
    }
}

/// A layer of the host's own: nobody knows what it does.
#[derive(Clone, Debug)]
struct Guard<S, P> {
    inner: S,
    _policy: P,
}

#[derive(Clone, Debug)]
struct GuardLayer;

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S, Never>;

    fn layer(&self, inner: S) -> Self::Service {
        Guard { inner, _policy: Never }
    }
}

impl<S: Service<u32>, P> Service<u32> for Guard<S, P> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.inner.call(request)
    }
}

const SECOND: Duration = Duration::from_secs(1);

async fn double(n: u32) -> Result<u32, Infallible> {
    Ok(2 * n)
}

fn parts(stack: &Stack) -> Vec<Part> {
    stack.parts().collect()
}

#[tokio::test]
async fn a_real_stack_is_read_from_its_type() {
    let service = ServiceBuilder::new()
        .timeout(30 * SECOND)
        .retry(Never)
        .concurrency_limit(8)
        .timeout(5 * SECOND)
        .map_err(|e: Infallible| -> BoxError { match e {} })
        .service(service_fn(double));
    let stack = stack_of(&service);
    assert_eq!(service.oneshot(21).await.unwrap(), 42);
    assert_eq!(
        parts(&stack),
        [Part::Timeout, Part::Retry, Part::Concurrency, Part::Timeout, Part::Plain, Part::Service]
    );
    assert_eq!(stack.findings(), []);
}

#[tokio::test]
async fn a_real_stack_in_the_wrong_order_is_found() {
    let service = ServiceBuilder::new()
        .layer(BoxService::<u32, u32, BoxError>::layer())
        .load_shed()
        .concurrency_limit(8)
        .rate_limit(100, SECOND)
        .retry(Never)
        .timeout(5 * SECOND)
        .service_fn(double);
    let boxed = stack_of(&service);
    assert_eq!((parts(&boxed), ids(&boxed.findings())), (vec![Part::Opaque], vec!["opaque-layer"]));

    let service = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(8)
        .rate_limit(100, SECOND)
        .retry(Never)
        .timeout(5 * SECOND)
        .service_fn(double);
    let found = boxed.over(stack_of(&service)).findings();
    assert_eq!(
        ids(&found),
        [
            "rate-limit-outside-retry",
            "no-total-timeout",
            "concurrency-outside-retry",
            "rate-limit-inside-concurrency",
        ]
    );
    assert!(found[0].what.starts_with("tower::limit::rate"), "{}", found[0].what);
}

#[tokio::test]
async fn a_buffer_hides_what_is_inside() {
    let inner = ServiceBuilder::new().retry(Never).timeout(SECOND).service_fn(double);
    let inside = stack_of(&inner);
    let outer = ServiceBuilder::new().timeout(SECOND).buffer(8).service(inner);
    let stack = stack_of(&outer);
    assert_eq!(parts(&stack), [Part::Timeout, Part::Buffer, Part::Opaque]);
    let whole = stack.over(inside);
    assert_eq!(
        parts(&whole),
        [Part::Timeout, Part::Buffer, Part::Retry, Part::Timeout, Part::Service]
    );
    assert_eq!(whole.findings(), []);
}

#[tokio::test]
async fn a_layer_of_ones_own_is_unknown_until_it_is_registered() {
    let service =
        ServiceBuilder::new().retry(Never).layer(GuardLayer).timeout(SECOND).service_fn(double);
    let stack = stack_of(&service);
    assert_eq!(parts(&stack), [Part::Retry, Part::Unknown, Part::Timeout, Part::Service]);
    let found = stack.findings();
    assert_eq!(ids(&found), ["no-total-timeout", "unknown-layer"]);
    assert!(found[1].what.ends_with("types::Guard"), "{}", found[1].what);

    let known = Reader::new().register("types::Guard", Part::Claim).stack_of(&service);
    assert_eq!(parts(&known), [Part::Retry, Part::Claim, Part::Timeout, Part::Service]);
    assert!(ids(&known.findings()).contains(&"claim-inside-retry"));
}

#[tokio::test]
async fn a_filter_is_a_validation() {
    let odd = |n: u32| if n % 2 == 1 { Ok(n) } else { Err(BoxError::from("even")) };
    let service = ServiceBuilder::new().retry(Never).filter(odd).timeout(SECOND).service_fn(double);
    let stack = stack_of(&service);
    assert_eq!(parts(&stack), [Part::Retry, Part::Validate, Part::Timeout, Part::Service]);
    assert_eq!(ids(&stack.findings()), ["no-total-timeout", "validation-inside-retry"]);
}

/// The layers of tower-http and tower-resilience, by the names that their types have.
#[test]
fn other_libraries_are_read_by_name() {
    let name = "tower_http::trace::service::Trace<tower_http::timeout::service::Timeout<\
                tower_resilience_retry::Retry<tower_resilience_ratelimiter::RateLimiter<\
                tower_resilience_bulkhead::service::Bulkhead<\
                tower_resilience_circuitbreaker::CircuitBreaker<\
                tower_resilience_timelimiter::TimeLimiter<my::Client<fn(u8, u8) -> bool>, my::Ask>, \
                (my::Ask, [u8; 4]), my::Answer>>>, my::Ask, my::Answer, my::Error>>, \
                tower_http::classify::SharedClassifier<tower_http::classify::ServerErrors>>";
    let stack = Reader::new().read(name);
    let expected = [
        Part::Trace,
        Part::Timeout,
        Part::Retry,
        Part::RateLimit,
        Part::Concurrency,
        Part::Breaker,
        Part::Timeout,
        Part::Service,
    ];
    assert_eq!((parts(&stack), stack.findings()), (expected.to_vec(), vec![]));
}

#[test]
fn names_that_make_no_sense_are_a_service() {
    for name in ["", "<", "a<", "a<b>>", ">a<", "a::b<c>::{{closure}}", "(a, b)", "fn(a) -> b<c>"] {
        assert_eq!(parts(&Reader::new().read(name)), [Part::Service], "{name:?}");
    }
    let erased = "alloc::boxed::Box<dyn tower_service::Service<u32> + Send>";
    assert_eq!(parts(&Reader::new().read(erased)), [Part::Plain, Part::Opaque]);
}
