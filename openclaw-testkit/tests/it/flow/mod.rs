//! Scenarios of a gateway: what they see, what they break, and what they report.

mod breaks;
mod hostile;
mod operate;
mod stories;
mod talk;
mod unmet;

use openclaw_core::Effect;
use openclaw_testkit::{
    agent::ScriptedAgent,
    flow::{TestGateway, TestGatewayBuilder, minutes},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::json;

/// An agent that refunds, counts, waits and fails by what it hears.
fn desk() -> ScriptedAgent {
    ScriptedAgent::new("desk")
        .unwrap()
        .when("refund order 1042")
        .call("refund.create", "refund", json!({"order": 1042, "why": "late"}))
        .then_say("Refunded: {}")
        .when("look and refund")
        .call("order.look", "look", json!({"order": 7}))
        .call("refund.create", "refund", json!({"order": 7}))
        .then_say("{} {}")
        .when("break")
        .call("no.such.skill", "x", json!({}))
        .then_say("never")
        .when("bye")
        .then_nothing()
        .when_begins("say ")
        .then_say("{turn}: {text}")
        .otherwise("What?")
}

fn keyed() -> Effect {
    Effect::Keyed { retention: minutes(10) }
}

/// A shop whose refunds have numbers.
fn shop() -> CountingRemote {
    CountingRemote::new(RemoteKind::Keyed).answering(|n, _| json!(n))
}

/// A gateway of the desk and the shop, with refunds of this effect.
fn shop_gateway(shop: &CountingRemote, effect: Effect) -> TestGatewayBuilder {
    let refund = RemoteSkill::named("refund.create", effect, shop.clone()).unwrap();
    let look = RemoteSkill::named("order.look", Effect::AtLeastOnce, shop.clone()).unwrap();
    TestGateway::builder()
        .gateway(move |builder| builder.agent(desk()).skill(refund.clone()).skill(look.clone()))
}
