//! Sends each request through the stack of its host.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use openclaw_core::{
    Call, Error, Result,
    http::{Body, Http},
    middleware::stack::Resilience,
};
use tower_layer::Layer;
use tower_service::Service;

type Request = Call<http::Request<Bytes>>;

/// Sends through the host's stack: timeouts, retry, learned rate limit, permits, breaker.
#[derive(Debug)]
pub(super) struct Resilient {
    http: Leaf,
    resilience: Resilience,
}

impl Resilient {
    pub(super) fn new(http: Arc<dyn Http>, resilience: Resilience) -> Self {
        Self { http: Leaf(http), resilience }
    }
}

#[async_trait]
impl Http for Resilient {
    async fn send(&self, call: Request) -> Result<Response<Body>> {
        let mut service = self.resilience.http(call.target()).layer(self.http.clone());
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(call).await
    }
}

/// The innermost service of the stack.
#[derive(Clone, Debug)]
struct Leaf(Arc<dyn Http>);

impl Service<Request> for Leaf {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Request) -> Self::Future {
        let http = Arc::clone(&self.0);
        Box::pin(async move { http.send(call).await })
    }
}
