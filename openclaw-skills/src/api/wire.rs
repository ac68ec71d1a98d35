//! An API's innermost wrapper: whole bodies, and GraphQL's way to say 429.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use openclaw_core::{
    Call, Limits, Result,
    http::{Body, Http},
    json,
};

use super::graphql::throttled;

/// A longer answer is none that only refuses.
const MAX_REFUSAL: usize = 64 << 10;

/// Marks a request whose answer may be a GraphQL error in a 200.
#[derive(Clone, Copy, Debug)]
pub(super) struct Graphql;

/// Reads bodies whole, so that whoever retries sees an answer that broke off.
#[derive(Debug)]
pub(super) struct Wire {
    http: Arc<dyn Http>,
    max_response: usize,
}

impl Wire {
    pub(super) fn new(http: Arc<dyn Http>, max_response: usize) -> Self {
        Self { http, max_response }
    }
}

#[async_trait]
impl Http for Wire {
    async fn send(&self, call: Call<http::Request<Bytes>>) -> Result<Response<Body>> {
        let graphql = call.payload().extensions().get::<Graphql>().is_some();
        let (mut head, body) = self.http.send(call).await?.into_parts();
        let body = body.collect(self.max_response).await?;
        let may_refuse = graphql && head.status == StatusCode::OK && body.len() <= MAX_REFUSAL;
        if may_refuse
            && let Ok(value) = json::parse(&body, &Limits::default())
            && let Some(after) = throttled(&value)
        {
            head.status = StatusCode::TOO_MANY_REQUESTS;
            if let Some(after) = after {
                head.headers.insert(RETRY_AFTER_MS, millis(after));
            }
        }
        Ok(Response::from_parts(head, Body::full(body)))
    }
}

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

fn millis(after: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
}
