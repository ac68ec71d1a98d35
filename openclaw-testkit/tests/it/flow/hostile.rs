//! A gateway with a hostile agent keeps every promise.

use openclaw_core::{
    Effect, TenantId,
    gateway::{Route, Router},
};
use openclaw_testkit::{
    agent::{Attack, HostileAgent},
    fault::Fault,
    flow::{TestGateway, hours, minutes},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};

use super::{desk, keyed};

/// Attempts at a turn times skill calls of a turn, as the gateway's defaults are.
const EFFECTS: u64 = 3 * 16;

fn agent(name: &str) -> openclaw_core::AgentId {
    name.try_into().unwrap()
}

/// Mallory is served by the hostile agent, everybody else by the desk.
async fn under_attack(
    mallory: &HostileAgent,
    shop: &CountingRemote,
    effect: Effect,
) -> TestGateway {
    let (mallory, shop) = (mallory.clone(), shop.clone());
    let skill = RemoteSkill::named("refund.create", effect, shop).unwrap();
    let builder = TestGateway::builder().gateway(move |builder| {
        let route = Route::to(agent("mallory")).sender("mallory");
        let router = Router::new(vec![route], Some(agent("desk")));
        builder.agent(mallory.clone()).agent(desk()).skill(skill.clone()).router(router)
    });
    builder.start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_attack_ends_and_harms_nobody_else() {
    survive(Attack::ALL.into()).await;
}

async fn survive(attacks: Vec<Attack>) {
    for attack in attacks {
        for effect in [keyed(), Effect::AtMostOnce] {
            let shop = CountingRemote::new(RemoteKind::Keyed);
            let mallory = HostileAgent::new("mallory", 7).unwrap();
            let mallory = mallory.aims_at("refund.create").only([attack]);
            let gateway = under_attack(&mallory, &shop, effect).await;
            for n in 1..=2_u64 {
                let before = shop.effects_total();
                let said = gateway.user("mallory").says("go on").whatever().within(hours(1));
                let heard = said.await.unwrap();
                let state = heard.state().expect("the gateway accepts the words");
                assert!(state.is_final(), "{attack:?}: {state:?}");
                assert!(shop.effects_total() - before <= EFFECTS, "{attack:?}");
                assert!(heard.skills().len() as u64 <= EFFECTS, "{attack:?}");
                let alice = gateway.user("alice").says("say x").within(minutes(1));
                alice.expect_reply(format!("{n}: say x")).await.unwrap();
            }
            assert_eq!(shop.duplicates() + shop.keys_reused(), 0, "{attack:?}");
            let tenant: &TenantId = gateway.tenant();
            assert!(gateway.inner().audit(tenant).verify(None).await.unwrap().is_ok());
            assert_eq!(mallory.attacks().len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attacks_reach_what_they_aim_at() {
    for (attack, effects) in [
        (Attack::UnknownSkill, 0),
        (Attack::OtherArguments, 1),
        (Attack::ManyCalls, 16),
        (Attack::OtherOperations, 3),
        (Attack::FalseApprovals, 0),
        (Attack::PanicAfterEffect, 1),
        (Attack::HangAfterEffect, 1),
        (Attack::HugeReply, 1),
    ] {
        let shop = CountingRemote::new(RemoteKind::Keyed);
        let mallory = HostileAgent::new("mallory", 1).unwrap();
        let mallory = mallory.aims_at("refund.create").only([attack]);
        let gateway = under_attack(&mallory, &shop, keyed()).await;
        gateway.user("mallory").says("go on").whatever().await.unwrap();
        assert_eq!(shop.effects_total(), effects, "{attack:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attacks_on_a_failing_store_end_too() {
    for seed in 0..10 {
        let shop = CountingRemote::new(RemoteKind::Keyed);
        let mallory = HostileAgent::new("mallory", seed).unwrap();
        let mallory = mallory.aims_at("refund.create").only(Attack::ALL);
        let gateway = under_attack(&mallory, &shop, keyed()).await;
        gateway.plan().chance("commit", Fault::LoseAnswer, 0.05);
        gateway.plan().chance("commit", Fault::Fail, 0.05);
        let said = gateway.user("mallory").says("go on").whatever().within(hours(2));
        let heard = said.await.unwrap();
        assert!(heard.state().is_some_and(|state| state.is_final()), "seed {seed}: {heard:?}");
        assert!(shop.effects_total() <= EFFECTS);
        assert_eq!(shop.duplicates(), 0, "seed {seed}");
    }
}
