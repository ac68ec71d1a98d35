//! Requests and answers of the seams, made of numbers.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use openclaw_core::{
    Call, Context, IdempotencyKey, MessageId, SkillId, TenantId,
    http::Body,
    model::{ModelReply, Prompt, PromptMessage, Role},
    skill::{SkillAnswer, SkillManifest},
};
use serde_json::{Value, json};

/// A request that a [`Probe`](super::Probe) takes: made of a number, and known again by it.
pub trait Ask: Send + 'static {
    /// What the probe answers.
    type Answer: Send + 'static;

    /// The request of this number.
    fn ask(n: u64) -> Self;

    /// Its number, and whatever else must arrive unchanged.
    fn head(&self) -> String;

    /// The answer to it.
    fn answer(&self) -> Self::Answer;

    /// An answer as text, different for each request.
    fn text(answer: &Self::Answer) -> String;
}

impl Ask for u64 {
    type Answer = Self;

    fn ask(n: u64) -> Self {
        n
    }

    fn head(&self) -> String {
        self.to_string()
    }

    fn answer(&self) -> Self {
        *self
    }

    fn text(answer: &Self) -> String {
        answer.to_string()
    }
}

fn call(n: u64) -> Call<Arc<Value>> {
    let context = Context::new(TenantId::new("law").expect("a tenant"));
    let manifest = SkillManifest::new(SkillId::new("law").expect("an id"), "1.0.0");
    Call::skill(context, &manifest, Arc::new(json!(n))).with_key(key(n))
}

fn key(n: u64) -> IdempotencyKey {
    IdempotencyKey::of(MessageId::from_u128(u128::from(n)), "law").expect("a key")
}

fn head<P>(call: &Call<P>) -> String {
    let (tenant, key) = (call.context().tenant(), call.key());
    format!("{tenant} {} {:?} {key:?}", call.target(), call.effect())
}

impl Ask for Call<u64> {
    type Answer = u64;

    fn ask(n: u64) -> Self {
        call(n).map(|_| n)
    }

    fn head(&self) -> String {
        format!("{} {}", head(self), self.payload())
    }

    fn answer(&self) -> u64 {
        *self.payload()
    }

    fn text(answer: &u64) -> String {
        answer.to_string()
    }
}

impl Ask for Call<Arc<Value>> {
    type Answer = SkillAnswer;

    fn ask(n: u64) -> Self {
        call(n)
    }

    fn head(&self) -> String {
        format!("{} {}", head(self), self.payload())
    }

    fn answer(&self) -> SkillAnswer {
        SkillAnswer::Done(Arc::clone(self.payload()))
    }

    fn text(answer: &SkillAnswer) -> String {
        format!("{answer:?}")
    }
}

impl Ask for Call<Request<Bytes>> {
    type Answer = Response<Body>;

    fn ask(n: u64) -> Self {
        let request = Request::put(format!("http://law.test/{n}")).body(Bytes::from(n.to_string()));
        Self::http(call(n).context().clone(), request.expect("a request")).with_key(key(n))
    }

    fn head(&self) -> String {
        format!("{} {:?}", head(self), self.payload())
    }

    fn answer(&self) -> Response<Body> {
        let mut response = Response::new(Body::full(self.payload().body().clone()));
        let n = HeaderValue::from_maybe_shared(self.payload().body().clone()).expect("a number");
        response.headers_mut().insert("x-law", n);
        response
    }

    fn text(answer: &Response<Body>) -> String {
        format!("{} {:?}", answer.status(), answer.headers().get("x-law"))
    }
}

impl Ask for Call<Arc<Prompt>> {
    type Answer = ModelReply;

    fn ask(n: u64) -> Self {
        let words = PromptMessage::new(Role::User, n.to_string());
        call(n).map(|_| Arc::new(Prompt::new(vec![words])))
    }

    fn head(&self) -> String {
        format!("{} {:?}", head(self), self.payload())
    }

    fn answer(&self) -> ModelReply {
        ModelReply::text(format!("{:?}", self.payload().messages))
    }

    fn text(answer: &ModelReply) -> String {
        answer.text.clone()
    }
}
