//! HTTP APIs as skills use them, over a scripted port; `faults` over real sockets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod auth;
mod etags;
mod faults;
mod graphql;
mod limits;
mod odd;
mod outcome;
mod pages;
mod requests;
mod trials;

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use openclaw_core::{
    Call, Context, Effect, IdempotencyKey, MessageId, Result, SkillId,
    http::{Body, Http},
    skill::SkillManifest,
};
use openclaw_skills::{
    SkillCx,
    api::{Api, ApiBuilder, Exchange, Request, Template},
};
use serde_json::{Value, json};

use crate::support::context;

type Answers = dyn Fn(usize, &http::Request<Bytes>) -> Result<Response<Body>> + Send + Sync;

/// A port that answers by a function of the request and its number, from 1, and keeps them all.
#[derive(Clone)]
struct Port {
    answers: Arc<Answers>,
    calls: Arc<Mutex<Vec<Call<http::Request<Bytes>>>>>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Port")
    }
}

impl Port {
    fn new(
        answers: impl Fn(usize, &http::Request<Bytes>) -> Result<Response<Body>> + Send + Sync + 'static,
    ) -> Self {
        Self { answers: Arc::new(answers), calls: Arc::default() }
    }

    /// One that answers everything like this.
    fn always(status: u16, body: Value) -> Self {
        Self::new(move |_, _| Ok(reply(status, &[], &body)))
    }

    fn calls(&self) -> Vec<Call<http::Request<Bytes>>> {
        self.calls.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Method and address of each request.
    fn lines(&self) -> Vec<String> {
        let line = |call: &Call<http::Request<Bytes>>| {
            format!("{} {}", call.payload().method(), call.payload().uri())
        };
        self.calls().iter().map(line).collect()
    }

    /// The values of this header, request by request.
    fn header(&self, name: &str) -> Vec<Option<String>> {
        let value = |call: &Call<http::Request<Bytes>>| {
            let value = call.payload().headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        self.calls().iter().map(value).collect()
    }
}

#[async_trait]
impl Http for Port {
    async fn send(&self, call: Call<http::Request<Bytes>>) -> Result<Response<Body>> {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(call.clone());
            calls.len()
        };
        (self.answers)(number, call.payload())
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: &Value) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if !body.is_null() {
        response = response.header("content-type", "application/json");
    }
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let text = if body.is_null() { String::new() } else { body.to_string() };
    response.body(Body::full(text)).unwrap()
}

/// Starts the API behind the ports of these tests.
fn crm() -> ApiBuilder {
    Api::builder("crm", "https://crm.test/api").unwrap()
}

/// The head of a skill call, with a key.
fn cx(context: Context) -> SkillCx {
    let manifest = SkillManifest::new(SkillId::new("crm.call").unwrap(), "1.0.0");
    let key = IdempotencyKey::of(MessageId::from_u128(7), "call").unwrap();
    let call = Call::skill(context, &manifest.effect(Effect::AtMostOnce), Arc::default());
    SkillCx::of(&call.with_key(key))
}

/// The requests of one call to this API.
fn exchange(api: &Api) -> Exchange {
    api.exchange(&cx(context()))
}

fn get(path: &str) -> Request {
    Template::get(path).unwrap().fill(&json!({})).unwrap()
}

fn post(path: &str) -> Request {
    Template::post(path).unwrap().fill(&json!({ "a": 1 })).unwrap()
}
