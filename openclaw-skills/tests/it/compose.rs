//! Skills that call skills, in a gateway: once each, across crashes.

use std::sync::Arc;

use openclaw_core::{
    Call, Effect, ErrorKind, Happened, Result, SkillId, Touches,
    skill::{Skill, SkillAnswer, SkillManifest},
};
use openclaw_skills::{SkillCx, schemars, skill_fn};
use openclaw_testkit::{
    agent::ScriptedAgent,
    flow::TestGateway,
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::{Value, json};

use crate::support::{Bare, context, run};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Move {
    email: String,
    street: String,
}

async fn relocate(cx: SkillCx, to: Move) -> Result<String> {
    let found: Value = cx.ask("crm.find", "find", &json!({ "email": to.email })).await?;
    let customer = found.pointer("/echo/email").cloned().unwrap_or_default();
    let address = json!({ "of": customer, "street": to.street });
    cx.ask::<Value>("crm.address", "address", &address).await?;
    cx.ask::<Value>("crm.note", "note", &json!({ "of": customer })).await?;
    Ok("moved".to_owned())
}

fn id(name: &str) -> SkillId {
    SkillId::new(name).expect("an id")
}

fn manifest() -> SkillManifest {
    SkillManifest::new(id("crm.relocate"), "1.0.0")
        .touches(Touches::READS_PRIVATE | Touches::WRITES)
        .calls(id("crm.find"))
        .calls(id("crm.address"))
        .calls(id("crm.note"))
}

/// A CRM whose address and note are counted apart.
#[derive(Clone)]
struct Crm {
    addresses: CountingRemote,
    notes: CountingRemote,
}

impl Crm {
    fn new() -> Self {
        let remote = || {
            let echo = |_: u64, payload: &Value| json!({ "echo": payload });
            CountingRemote::new(RemoteKind::Unkeyed).answering(echo)
        };
        Self { addresses: remote(), notes: remote() }
    }

    async fn start(&self) -> TestGateway {
        let crm = self.clone();
        let input = json!({ "email": "ann@example.com", "street": "Elm" });
        let desk = ScriptedAgent::new("desk").expect("a name").always();
        let desk = desk.call("crm.relocate", "move", input).or_say("sorry").then_say("moved");
        let gateway = TestGateway::builder().gateway(move |builder| {
            let part = |name, effect, remote: &CountingRemote| {
                let manifest = SkillManifest::new(id(name), "1.0.0").effect(effect);
                RemoteSkill::new(manifest.touches(Touches::WRITES), remote.clone())
            };
            builder
                .agent(desk.clone())
                .skill(skill_fn(manifest(), relocate).expect("a skill"))
                .skill(part("crm.find", Effect::Pure, &crm.addresses))
                .skill(part("crm.address", Effect::Reconcilable, &crm.addresses))
                .skill(part("crm.note", Effect::AtMostOnce, &crm.notes))
        });
        gateway.start().await.expect("it starts")
    }
}

#[tokio::test(start_paused = true)]
async fn a_composed_skill_has_its_work_done_once_by_each_part() {
    let crm = Crm::new();
    let gateway = crm.start().await;
    let step = gateway.user("ann").says("I moved");
    let heard = step.expect_skill("crm.address").expect_reply("moved").await.expect("it moves");
    let skills: Vec<_> = heard.skills().iter().map(|call| call.skill.to_string()).collect();
    assert_eq!(skills, ["crm.address", "crm.note"]);
    assert_eq!((crm.addresses.effects_total(), crm.notes.effects_total()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_two_parts_repeats_neither() {
    let crm = Crm::new();
    let mut gateway = crm.start().await;
    gateway.crash_in_skill("crm.address");
    gateway.user("ann").says("I moved").expect_crash().await.expect("it crashes");
    assert_eq!((crm.addresses.effects_total(), crm.notes.effects_total()), (1, 0));
    gateway.restart().await.expect("it starts");
    gateway.user("ann").waits().expect_reply("moved").await.expect("it goes on");
    assert_eq!((crm.addresses.effects_total(), crm.notes.effects_total()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_for_good_fails_the_composed_skill_and_no_part_is_repeated() {
    let crm = Crm::new();
    crm.notes.script([Behaviour::LoseAnswer]);
    let gateway = crm.start().await;
    gateway.user("ann").says("I moved").expect_parked().await.expect("a person looks");
    assert_eq!((crm.addresses.effects_total(), crm.notes.calls_total()), (1, 1));
}

#[tokio::test]
async fn a_call_without_a_way_to_other_skills_says_so() {
    let skill = skill_fn(manifest(), relocate).expect("a skill");
    let input = json!({ "email": "ann@example.com", "street": "Elm" });
    let error = run(&skill, input).await.expect_err("nobody is there");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::Unsupported, Happened::No));
}

/// Asks one skill after the other, and gives the last output.
async fn ask_all(skills: &'static [&'static str], remotes: &[&CountingRemote]) -> Result<Value> {
    let parts = remotes.iter().zip(["one", "two", "look"]).map(|(remote, name)| {
        let effect = if name == "look" { Effect::Pure } else { Effect::AtMostOnce };
        let part = RemoteSkill::named(name, effect, (*remote).clone()).expect("a name");
        Arc::new(part) as Arc<dyn Skill>
    });
    let port = Bare(parts.collect());
    let all = move |cx: SkillCx, input: Value| async move {
        let mut last = Value::Null;
        for skill in skills {
            last = cx.ask(skill, skill, &input).await?;
        }
        Ok(last)
    };
    let manifest = skills
        .iter()
        .fold(SkillManifest::new(id("all"), "1.0.0"), |manifest, name| manifest.calls(id(name)));
    let skill = skill_fn(manifest, all).expect("a skill");
    let call = Call::skill(context(), skill.manifest(), Arc::new(json!({})));
    match skill.run(call.with_skills(Arc::new(port))).await? {
        SkillAnswer::Done(output) => Ok((*output).clone()),
        SkillAnswer::Pending(_) => Ok(Value::Null),
    }
}

#[tokio::test]
async fn what_a_part_did_is_not_undone_by_the_failure_of_a_later_one() {
    let remote = || CountingRemote::new(RemoteKind::Unkeyed);
    let (one, two, look) = (remote(), remote(), remote());
    two.script([Behaviour::FailBefore]);
    let error = ask_all(&["one", "two"], &[&one, &two, &look]).await.expect_err("it fails");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::Unavailable, Happened::Maybe));
}

#[tokio::test]
async fn where_no_part_has_acted_nothing_happened() {
    let remote = || CountingRemote::new(RemoteKind::Unkeyed);
    let (one, two, look) = (remote(), remote(), remote());
    two.script([Behaviour::FailBefore]);
    let error = ask_all(&["look", "two"], &[&one, &two, &look]).await.expect_err("it fails");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::Unavailable, Happened::No));
}

#[tokio::test]
async fn output_that_the_caller_can_not_read_is_not_quoted() {
    let secret = |_: u64, _: &Value| json!({ "token": "s3cret-word" });
    let one = CountingRemote::new(RemoteKind::Unkeyed).answering(secret);
    let number = async |cx: SkillCx, input: Value| cx.ask::<u32>("one", "one", &input).await;
    let manifest = SkillManifest::new(id("number"), "1.0.0").calls(id("one"));
    let skill = skill_fn(manifest, number).expect("a skill");
    let part = RemoteSkill::named("one", Effect::AtMostOnce, one).expect("a name");
    let call = Call::skill(context(), skill.manifest(), Arc::new(json!({})));
    let call = call.with_skills(Arc::new(Bare(vec![Arc::new(part)])));
    let error = skill.run(call).await.expect_err("it is no number");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::ValidationError, Happened::Maybe));
    assert!(!format!("{error:?}{}", error.public()).contains("s3cret"), "{error:?}");
}

#[test]
fn a_composed_skill_is_pure_and_does_not_call_itself() {
    let impure = manifest().effect(Effect::AtMostOnce);
    let itself = manifest().calls(id("crm.relocate"));
    for wrong in [impure, itself] {
        let error = skill_fn(wrong, relocate).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::ValidationError);
    }
    let skill = skill_fn(manifest(), relocate).expect("a skill");
    assert_eq!(skill.manifest().effect, Effect::Pure);
}
