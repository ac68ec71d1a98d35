//! HTTP's faults, counted by the server inside.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use http::{Request, Response};
use openclaw_core::{
    Call, ErrorKind, Happened, Result,
    http::{Body, Http},
};
use openclaw_testkit::fault::{Fault, FaultHttp, Plan};

use super::{MINUTE, after, context, failed, hangs, injected, once};

/// Answers `0123456789`, and counts its requests.
#[derive(Debug)]
struct Shop(Arc<AtomicU32>);

#[async_trait::async_trait]
impl Http for Shop {
    async fn send(&self, _: Call<Request<Bytes>>) -> Result<Response<Body>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(Body::full("0123456789")))
    }
}

/// The count of requests, and the port that meets the plan.
fn shop(plan: &Plan) -> (Arc<AtomicU32>, FaultHttp<Shop>) {
    let asked = Arc::default();
    let inner = Shop(Arc::clone(&asked));
    (asked, FaultHttp::new(inner, plan.clone()))
}

fn order() -> Call<Request<Bytes>> {
    let request = Request::post("http://shop.test/orders").body(Bytes::new()).unwrap();
    Call::http(context(), request)
}

async fn body(http: &dyn Http) -> Result<Bytes> {
    http.send(order()).await?.into_body().collect(1000).await
}

#[tokio::test(start_paused = true)]
async fn a_request_fails_or_loses_a_half_of_itself() {
    for (fault, happened, count) in [
        (Fault::Fail, Happened::No, 0),
        (Fault::LoseRequest, Happened::Maybe, 0),
        (Fault::LoseAnswer, Happened::Maybe, 1),
    ] {
        let plan = once("send", fault);
        let (asked, http) = shop(&plan);
        failed(body(&http).await, happened);
        assert_eq!(asked.load(Ordering::SeqCst), count, "{fault:?}");
        injected(&plan, fault);
        assert_eq!(body(&http).await.unwrap(), "0123456789");
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_request_is_sent_twice() {
    let plan = once("shop.test", Fault::Duplicate);
    let (asked, http) = shop(&plan);
    assert_eq!(body(&http).await.unwrap(), "0123456789");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    injected(&plan, Fault::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_late_hangs_panics_or_crashes() {
    let (asked, http) = shop(&once("send", Fault::Delay(MINUTE)));
    after(MINUTE, body(&http)).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let (asked, http) = shop(&once("send", Fault::Hang));
    hangs(body(&http)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let (_, http) = shop(&once("send", Fault::Panic));
    assert!(tokio::spawn(async move { body(&http).await }).await.unwrap_err().is_panic());
    for (fault, count) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let plan = once("send", fault);
        let (asked, http) = shop(&plan);
        hangs(body(&http)).await;
        assert_eq!((asked.load(Ordering::SeqCst), plan.power().is_on()), (count, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_breaks_in_its_middle_stalls_or_hangs() {
    let plan = once("body", Fault::Fail);
    let (asked, http) = shop(&plan);
    let answer = http.send(order()).await.unwrap();
    let half = answer.into_body().collect(5).await;
    assert_eq!(half.as_ref().unwrap_err().kind(), ErrorKind::Unavailable, "a half fits");
    failed(half, Happened::Maybe);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the request was answered");
    injected(&plan, Fault::Fail);
    let (_, http) = shop(&once("body", Fault::Delay(MINUTE)));
    let answer = after(std::time::Duration::ZERO, http.send(order())).await.unwrap();
    assert_eq!(after(MINUTE, answer.into_body().collect(1000)).await.unwrap(), "0123456789");
    let (_, http) = shop(&once("body", Fault::Hang));
    let answer = http.send(order()).await.unwrap();
    hangs(answer.into_body().collect(1000)).await;
}
