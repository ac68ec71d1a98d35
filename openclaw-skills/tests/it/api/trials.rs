//! Versions over an API on trial: what its answers say about a canary and about a shadow.

use std::time::Duration;

use openclaw_core::{
    Effect, Env, Error, ErrorKind, Result,
    middleware::breaker::BreakerConfig,
    records::EVERYBODY,
    skill::{Skill, SkillManifest},
};
use openclaw_skills::{
    SkillCx,
    api::Operation,
    registry::{Registry, RegistryEvent, Release, Verdict},
    skill_fn,
};
use serde_json::{Value, json};

use super::{Port, crm, get, post};
use crate::registry_support::{Heard, KEYED, call as call_pay, id, met, pay, publish, route};

/// How a version asks the API.
#[derive(Clone, Copy)]
enum By {
    Get,
    Post,
    Query,
}

/// A version of `pay` that asks an API with these answers.
fn asking(number: &str, effect: Effect, by: By, port: &Port) -> impl Skill {
    let api = crm().build(port.clone()).unwrap();
    let manifest = SkillManifest::new(id("pay"), number).effect(effect);
    let ask = move |cx: SkillCx, _: Value| {
        let api = api.clone();
        async move {
            let crm = api.exchange(&cx);
            match by {
                By::Get => drop(crm.send(get("/rates")).await?),
                By::Post => drop(crm.send(post("/rates")).await?),
                By::Query => {
                    let query = Operation::new("query Rates { rates { id } }")?;
                    crm.graphql::<Value>(&query).await?.whole()?;
                }
            }
            Ok(json!({ "asked": true }))
        }
    };
    skill_fn(manifest, ask).unwrap()
}

/// Which version is met behind three calls of a canary that two failures in a row roll back.
async fn behind_three_calls(canary: impl Skill) -> String {
    let mut breaker = BreakerConfig::default();
    (breaker.minimum_calls, breaker.consecutive_failures) = (100, Some(2));
    let registry = Registry::builder(Env::system()).roll_back(breaker).open().await.unwrap();
    registry.publish(pay("1.0.0")).unwrap();
    registry.publish(Release::of(canary).draft()).unwrap();
    registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.unwrap();
    for n in 0..3 {
        if let Err(e) = call_pay(&registry, n).await {
            assert_eq!(e.kind(), ErrorKind::ValidationError, "{e}");
        }
    }
    met(&registry, "v1", &route(1))
}

fn graphql(code: &str) -> Value {
    json!({ "errors": [{ "message": "no", "extensions": { "code": code } }] })
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_accept_the_arguments_does_not_speak_against_a_canary() {
    for (by, status, answer) in [
        (By::Get, 400, Value::Null),
        (By::Post, 422, json!({ "error": { "code": "no_such_plan" } })),
        (By::Get, 418, Value::Null),
        (By::Query, 400, graphql("BAD_USER_INPUT")),
        (By::Query, 200, graphql("BAD_USER_INPUT")),
    ] {
        let canary = asking("1.1.0", KEYED, by, &Port::always(status, answer.clone()));
        assert_eq!(behind_three_calls(canary).await, "1.1.0", "{status} {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_that_the_service_can_not_read_speaks_against_a_canary() {
    let port = Port::always(200, graphql("GRAPHQL_VALIDATION_FAILED"));
    let canary = asking("1.1.0", KEYED, By::Query, &port);
    assert_eq!(behind_three_calls(canary).await, "1.0.0");
}

#[tokio::test(start_paused = true)]
async fn what_a_skill_refuses_itself_speaks_against_a_canary() {
    let refuse = |_: SkillCx, _: Value| async {
        let e = Error::new(ErrorKind::ValidationError, "there is no such plan");
        Result::<Value>::Err(e)
    };
    let manifest = SkillManifest::new(id("pay"), "1.1.0").effect(KEYED);
    assert_eq!(behind_three_calls(skill_fn(manifest, refuse).unwrap()).await, "1.0.0");
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_is_refused_its_request_is_not_compared() {
    let heard = Heard::default();
    let registry = heard.on(Registry::builder(Env::system())).open().await.unwrap();
    publish(&registry, &[("1.0.0", false)]);
    let port = Port::always(200, json!({}));
    let shadow = asking("2.0.0", Effect::Pure, By::Post, &port);
    registry.publish(Release::of(shadow).draft()).unwrap();
    registry.shadow(&id("pay"), Some("2.0.0"), "carol").await.unwrap();
    call_pay(&registry, 1).await.unwrap();
    assert!(registry.drain(Duration::from_secs(60)).await);
    let told = RegistryEvent::Shadowed {
        skill: id("pay"),
        shadow: "2.0.0".into(),
        beside: "1.0.0".into(),
        verdict: Verdict::Withheld,
    };
    assert_eq!((heard.events(), port.count()), (vec![told], 0));
}
