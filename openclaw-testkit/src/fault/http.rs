//! HTTP whose requests and response bodies meet faults.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use openclaw_core::{
    Call, Happened, Result,
    http::{Body, BodyStream, Http},
};

use super::{Fault, Plan, pass::injected};

/// An [`Http`] whose requests meet the faults of a [`Plan`].
///
/// * `"send"`: calls.
/// * `"body"`, the body of an answer: can fail in its middle, be delayed, or hang before its
///   first piece. A body that meets a fault is read whole first.
///
/// Each also has the host for a name.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use openclaw_core::{Call, Context, Happened, TenantId, http::{Body, Http}};
/// use openclaw_testkit::fault::{Fault, FaultHttp, Plan};
///
/// #[derive(Debug)]
/// struct Fine;
///
/// #[async_trait::async_trait]
/// impl Http for Fine {
///     async fn send(&self, _: Call<Request<Bytes>>) -> openclaw_core::Result<Response<Body>> {
///         Ok(Response::new(Body::full("fine")))
///     }
/// }
///
/// let plan = Plan::default();
/// plan.nth("shop.test", 1, Fault::LoseRequest);
/// let http = FaultHttp::new(Fine, plan);
/// let request = Request::post("http://shop.test/orders").body(Bytes::new())?;
/// let lost = http.send(Call::http(Context::new(TenantId::new("acme")?), request)).await;
/// assert_eq!(lost.unwrap_err().happened(), Happened::Maybe);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FaultHttp<H> {
    inner: H,
    plan: Plan,
}

impl<H: Http> FaultHttp<H> {
    /// This port under this plan.
    #[must_use]
    pub const fn new(inner: H, plan: Plan) -> Self {
        Self { inner, plan }
    }

    /// The plan that it meets.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<H: Http> Http for FaultHttp<H> {
    async fn send(&self, call: Call<Request<Bytes>>) -> Result<Response<Body>> {
        let host = call.target().to_owned();
        let pass = self.plan.enter(&["send", &host], Fault::calling, injected).await?;
        let again = pass.twice().then(|| call.clone());
        let outcome = self.inner.send(call).await;
        if let Some(again) = again {
            drop(self.inner.send(again).await);
        }
        let (head, body) = pass.leave(outcome).await?.into_parts();
        let body = match self.plan.meet(&["body", &host], can_body) {
            Some(fault) => Body::stream(FaultBody { body: Some(body), fault }),
            None => body,
        };
        Ok(Response::from_parts(head, body))
    }
}

const fn can_body(fault: Fault) -> bool {
    matches!(fault, Fault::Fail | Fault::Delay(_) | Fault::Hang)
}

#[derive(Debug)]
struct FaultBody {
    body: Option<Body>,
    fault: Fault,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BodyStream for FaultBody {
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        match (self.body.take(), self.fault) {
            (None, Fault::Fail) => Err(injected(Happened::Maybe)),
            (None, _) => Ok(None),
            (_, Fault::Hang) => std::future::pending().await,
            (Some(body), fault) => {
                if let Fault::Delay(by) = fault {
                    tokio::time::sleep(by).await;
                }
                let mut whole = body.collect(usize::MAX).await?;
                if fault == Fault::Fail {
                    whole.truncate(whole.len() / 2);
                }
                Ok(Some(whole))
            }
        }
    }
}
