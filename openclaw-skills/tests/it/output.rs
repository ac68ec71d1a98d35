//! Outputs that break their contract: every wrapper judges them, and a gateway keeps them.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Content, Conversation, Effect, Env, Envelope, Error, ErrorKind, Happened,
    Result, Sender,
    channel::Capabilities,
    gateway::{Gateway, MessageState},
    middleware::breaker::BreakerConfig,
    records::{AuditAction, EVERYBODY, EffectState},
    skill::{BrokenOutput, Skill, SkillAnswer, SkillManifest, SkillSource as _},
    store::MemoryStore,
};
use openclaw_skills::{
    Checked, Hook, Hooked, Schemas,
    registry::{Registry, Release},
    skill_fn,
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    env::test_env,
    fault::Power,
    platform::{Platform, Verdict},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Trace,
};
use serde_json::{Value, json};

use crate::{
    registry_support::{KEYED, call, id, met, publish, route},
    support::{context, manifest, place, skill},
};

#[derive(Debug)]
struct Idle;

impl Hook for Idle {}

/// Answers whatever comes, and takes no output over a hundred.
#[derive(Debug)]
struct Picky(RemoteSkill);

#[async_trait]
impl Skill for Picky {
    fn manifest(&self) -> &SkillManifest {
        self.0.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.0.run(call).await
    }

    fn validate_output(&self, output: &Value) -> Result<()> {
        match output["total"].as_u64() {
            Some(total) if total <= 100 => Ok(()),
            _ => Err(Error::new(ErrorKind::ValidationError, "the total is too much")),
        }
    }
}

/// A skill that answers this total.
fn picky(manifest: SkillManifest, total: u64) -> Picky {
    let answer = move |_: u64, _: &Value| json!({ "total": total });
    Picky(RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Keyed).answering(answer)))
}

#[test]
fn every_wrapper_has_its_skill_judge_the_output() {
    let typed = || skill(Effect::AtMostOnce);
    let checked = Checked::new(picky(manifest(Effect::AtMostOnce), 1), &Schemas::new());
    let registry = Registry::new(Env::system());
    registry.publish(Release::of(typed())).expect("a new version");
    let served = registry.list(&route(1)).pop().expect("a skill");
    let wrapped: [Box<dyn Skill>; 5] = [
        Box::new(typed()),
        Box::new(Arc::new(typed())),
        Box::new(Hooked::new(typed(), Idle)),
        Box::new(checked.expect("a skill")),
        Box::new(served),
    ];
    for skill in wrapped {
        let good = json!({ "total": 100, "key": null });
        skill.validate_output(&good).expect("it keeps the contract");
        let e = skill.validate_output(&json!({ "total": 101, "key": null })).expect_err("too much");
        assert_eq!(e.kind(), ErrorKind::ValidationError, "{skill:?}");
    }
}

#[test]
fn a_checked_skill_is_held_to_its_schema_as_well() {
    let manifest = manifest(Effect::Pure).output(json!({ "required": ["key"] }));
    let checked = Checked::new(picky(manifest, 1), &Schemas::new()).expect("a skill");
    assert!(checked.validate_output(&json!({ "total": 1, "key": "k" })).is_ok());
    for broken in [json!({ "total": 1 }), json!({ "total": 101, "key": "k" })] {
        assert!(checked.validate_output(&broken).is_err(), "{broken}");
    }
}

#[test]
fn a_judgement_says_whether_the_effect_happened() {
    let other = id("crm.find");
    for (manifest, happened) in [
        (manifest(Effect::AtMostOnce), Happened::Yes),
        (manifest(Effect::Pure), Happened::No),
        (manifest(Effect::Pure).calls(other), Happened::Maybe),
    ] {
        let judged = |total| SkillAnswer::done(json!({ "total": total }));
        let skill = picky(manifest, 1);
        assert_eq!(judged(100).judged_by(&skill).expect("a good one"), judged(100));
        let e = judged(101).judged_by(&skill).expect_err("too much");
        assert_eq!(e.happened(), happened);
        assert_eq!(BrokenOutput::of(&e).map(|output| &**output), Some(&json!({ "total": 101 })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_records_a_typed_effect_with_a_broken_output_as_done() {
    let env = test_env(1);
    let channel = ChannelId::new("desk").expect("an id");
    let platform = Platform::new(channel.clone(), Trace::default());
    let order = json!({ "number": "1", "lines": [{ "count": 101 }], "pay": null });
    let agent = ScriptedAgent::new("desk").expect("a name").always();
    let agent = agent.call("order.place", "place", order).or_say("sorry").then_say("placed");
    let placed = skill_fn(manifest(Effect::AtMostOnce), place).expect("a skill");
    let gateway = Gateway::builder(env.clone(), MemoryStore::new(env.clock()))
        .channel(platform.channel(Capabilities::default(), Power::on()))
        .agent(agent)
        .skill(placed)
        .start()
        .await
        .expect("it starts");
    let (tenant, place) = (context().tenant().clone(), Conversation::new(channel, "c1"));
    let envelope = Envelope::new(tenant.clone(), place, Sender::new("ann"), Content::text("order"));
    let verdict = platform.verdict(platform.deliver(envelope.with_id("m1"), None)).await;
    let Verdict::Accepted { message, .. } = verdict else { panic!("{verdict:?}") };
    let end = gateway.settled(&tenant, message).await.expect("it ends");
    assert_eq!((end.state, platform.texts()), (MessageState::Done, vec!["sorry".to_owned()]));
    let (_, record) = gateway.ledger(&tenant).of_turn(message).await.expect("it answers").remove(0);
    let EffectState::Done { answer: SkillAnswer::Done(output) } = &record.state else {
        panic!("{record:?}")
    };
    assert_eq!(output["total"], 101, "what it did is known");
    let why = record.breach.as_deref().expect("why nobody gets it");
    assert!(why.contains("pointer: /total"), "{why}");
    let trail = gateway.audit(&tenant).entries().await.expect("it answers");
    assert!(trail.iter().any(|entry| entry.action == AuditAction::OutputBroken), "{trail:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_output_speaks_against_a_canary() {
    let mut breaker = BreakerConfig::default();
    (breaker.minimum_calls, breaker.consecutive_failures) = (100, Some(2));
    let registry = Registry::builder(Env::system()).roll_back(breaker).open().await;
    let registry = registry.expect("it opens");
    publish(&registry, &[("1.0.0", false)]);
    let broken = picky(SkillManifest::new(id("pay"), "1.1.0").effect(KEYED), 101);
    registry.publish(Release::of(broken).draft()).expect("a new version");
    registry.canary(&id("pay"), "1.1.0", EVERYBODY, "carol").await.expect("it is there");
    for n in 0..2 {
        assert_eq!(met(&registry, "v1", &route(1)), "1.1.0", "{n}");
        let e = call(&registry, n).await.expect_err("its output is broken");
        assert!(BrokenOutput::of(&e).is_some(), "{e:?}");
    }
    assert_eq!(met(&registry, "v1", &route(1)), "1.0.0", "rolled back");
}
