//! Skills that call skills: each sub-call is guarded and recorded like a call of the agent.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Call, Context, Effect, Error, ErrorKind, Happened, MessageId, Principal, Result,
    SkillId, Subject, TenantId, Touches,
    agent::{Answer, agent_fn},
    gateway::{Gateway, GatewayBuilder, MessageState},
    records::{Ledger, Vote},
    rules::Rules,
    skill::{Skill, SkillAnswer, SkillManifest, SkillRequest},
    store::MemoryStore,
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{Fault, FaultAgent, Plan},
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::{Value, json};

use crate::support::{Run, World, tenant};

fn id(name: &str) -> SkillId {
    SkillId::new(name).unwrap()
}

/// A skill that has others do its work, one after the other, under these names.
#[derive(Debug)]
struct Chain {
    manifest: SkillManifest,
    parts: Vec<(&'static str, &'static str)>,
}

impl Chain {
    fn new(name: &str, parts: &[(&'static str, &'static str)]) -> Self {
        let manifest = SkillManifest::new(id(name), "1.0.0").touches(Touches::WRITES);
        let manifest = parts.iter().fold(manifest, |m, (_, skill)| m.calls(id(skill)));
        Self { manifest, parts: parts.to_vec() }
    }
}

#[async_trait]
impl Skill for Chain {
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let alone = || Error::new(ErrorKind::Unsupported, "no way to other skills");
        let port = call.skills().ok_or_else(alone)?;
        // A skill that speaks for somebody else is heard as itself.
        let forged = Context::new(TenantId::new("mallory").unwrap());
        for (operation, skill) in &self.parts {
            let request = SkillRequest::new(id(skill), *operation, (**call.payload()).clone());
            port.call(&forged, request).await?;
        }
        Ok(SkillAnswer::done(json!("moved")))
    }
}

fn remote(name: &str, touches: Touches) -> (RemoteSkill, CountingRemote) {
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let manifest =
        SkillManifest::new(id(name), "1.0.0").effect(Effect::AtMostOnce).touches(touches);
    (RemoteSkill::new(manifest, remote.clone()), remote)
}

/// An agent that asks for `move`, and says what it came to.
fn mover() -> ScriptedAgent {
    let agent = ScriptedAgent::new("mover").unwrap().always();
    agent.call("move", "move", json!({ "street": "Elm" })).or_say("sorry").then_say("moved")
}

/// What is recorded of a turn: operations, and the names of their states.
async fn recorded(world: &World, turn: MessageId) -> Vec<(String, &'static str)> {
    let ledger = Ledger::new(Arc::new(world.rows.clone()), tenant());
    let effects = ledger.of_turn(turn).await.unwrap();
    effects.iter().map(|(operation, record)| (operation.to_string(), record.state.name())).collect()
}

fn done(operations: &[&str]) -> Vec<(String, &'static str)> {
    operations.iter().map(|operation| ((*operation).to_owned(), "done")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sub_call_has_a_record_of_its_own_and_the_outer_one_has_none() {
    let world = World::new(1);
    let ((address, street), (note, notes)) =
        (remote("address", Touches::WRITES), remote("note", Touches::WRITES));
    let chain = Chain::new("move", &[("address", "address"), ("note", "note")]);
    let run = world.start(|b| b.agent(mover()).skill(chain).skill(address).skill(note)).await;
    let turn = world.tell("c1", "m1", "move").await;
    run.ends(turn, MessageState::Done).await;
    assert_eq!(world.platform.texts(), ["moved"]);
    assert_eq!(recorded(&world, turn).await, done(&["move.note", "move.address"]));
    assert_eq!((street.effects_total(), notes.effects_total()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_runs_again_finds_what_its_sub_calls_did() {
    let world = World::new(1);
    let (note, notes) = remote("note", Touches::WRITES);
    let plan = Plan::default();
    plan.next("handle", 2, Fault::LoseAnswer);
    let agent = FaultAgent::new(mover(), plan);
    let chain = Chain::new("move", &[("note", "note")]);
    let run = world.start(|b| b.agent(agent).skill(chain).skill(note)).await;
    let turn = world.tell("c1", "m1", "move").await;
    run.ends(turn, MessageState::Done).await;
    assert_eq!((notes.calls_total(), notes.effects_total()), (1, 1));
    assert_eq!(recorded(&world, turn).await, done(&["move.note"]));
}

#[tokio::test(start_paused = true)]
async fn skills_run_inside_each_other_over_four_levels() {
    let world = World::new(1);
    let (last, effects) = remote("four", Touches::WRITES);
    let names = ["move", "two", "three", "four"];
    let outer = names.windows(2).map(|pair| Chain::new(pair[0], &[("op", pair[1])]));
    let run =
        world.start(|b| outer.fold(b.agent(mover()).skill(last), GatewayBuilder::skill)).await;
    let turn = world.tell("c1", "m1", "move").await;
    run.ends(turn, MessageState::Done).await;
    assert_eq!((world.platform.texts(), effects.effects_total()), (vec!["moved".to_owned()], 1));
    assert_eq!(recorded(&world, turn).await, done(&["move.op.op.op"]));
}

/// What a source brings is not looked at at the start: its levels are counted as they come.
#[tokio::test(start_paused = true)]
async fn a_circle_in_a_source_ends_at_the_fourth_level() {
    let world = World::new(1);
    let (note, notes) = remote("note", Touches::NOTHING);
    let chain = |name, next| Chain::new(name, &[("note", "note"), ("op", next)]);
    let skills: [Arc<dyn Skill>; 3] =
        [Arc::new(chain("move", "back")), Arc::new(chain("back", "move")), Arc::new(note)];
    let skills: BTreeMap<SkillId, Arc<dyn Skill>> =
        skills.into_iter().map(|skill| (skill.manifest().id.clone(), skill)).collect();
    let run = world.start(|b| b.agent(mover()).skills(skills)).await;
    run.ends(world.tell("c1", "m1", "move").await, MessageState::Done).await;
    assert_eq!((world.platform.texts(), notes.effects_total()), (vec!["sorry".to_owned()], 3));
}

/// Asks for an approval of every skill, outer and inner ones.
fn everything() -> Rules {
    let terms = json!({ "ttl": "1h", "reason": "the test says so" });
    let rules = json!({ "rules": [{ "name": "all", "then": { "require_approval": terms } }] });
    Rules::from_json(&rules.to_string()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_people_approve_step_by_step_is_done_once() {
    let world = World::new(1);
    let (note, notes) = remote("note", Touches::WRITES);
    let chain = Chain::new("move", &[("note", "note")]);
    let mover = agent_fn(AgentId::new("mover").unwrap(), |mut turn| async move {
        turn.skill("move", "move", json!({ "street": "Elm" })).await?;
        Ok(Answer::text("moved"))
    });
    let run = world.start(|b| b.agent(mover).skill(chain).skill(note).authorizer(everything()));
    let run = run.await;
    let turn = world.tell("c1", "m1", "move").await;
    let bob = Principal::authenticated(tenant(), Subject::new("bob").unwrap(), "test");
    for _ in 0..2 {
        while run.status(&tenant(), turn).await.unwrap().unwrap().state != MessageState::Waiting {
            tokio::task::yield_now().await;
        }
        let open = run.approvals(&tenant()).open(None, NonZeroUsize::MIN).await.unwrap().0;
        assert_eq!(notes.calls_total(), 0);
        run.decide_approval(&bob, &open[0].0, Vote::yes()).await.unwrap();
    }
    run.ends(turn, MessageState::Done).await;
    assert_eq!((world.platform.texts(), notes.effects_total()), (vec!["moved".to_owned()], 1));
    let all = [("move", "done"), ("move.note", "done")];
    let mut recorded = recorded(&world, turn).await;
    recorded.sort();
    assert_eq!(recorded, all.map(|(operation, state)| (operation.to_owned(), state)));
}

#[tokio::test(start_paused = true)]
async fn a_sub_call_is_not_made_twice_at_once_under_one_name() {
    #[derive(Debug)]
    struct Twice(Chain);

    #[async_trait]
    impl Skill for Twice {
        fn manifest(&self) -> &SkillManifest {
            self.0.manifest()
        }

        async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
            let port = call.skills().expect("the way");
            let ask = || port.call(call.context(), SkillRequest::new(id("note"), "note", json!(1)));
            let (one, two) = tokio::join!(ask(), ask());
            let refused = two.expect_err("it is under way");
            assert_eq!((refused.kind(), refused.happened()), (ErrorKind::Conflict, Happened::No));
            one
        }
    }

    let world = World::new(1);
    let (note, notes) = remote("note", Touches::WRITES);
    let twice = Twice(Chain::new("move", &[("note", "note")]));
    let run = world.start(|b| b.agent(mover()).skill(twice).skill(note)).await;
    let turn = world.tell("c1", "m1", "move").await;
    run.ends(turn, MessageState::Done).await;
    assert_eq!((notes.calls_total(), notes.effects_total()), (1, 1));
    assert_eq!(recorded(&world, turn).await, done(&["move.note"]));
}

/// A gateway with these skills does not start, and says which call is wrong.
async fn refused(chains: Vec<Chain>, last: RemoteSkill, call: (&str, &str)) {
    let world = World::new(1);
    let store = MemoryStore::new(world.env.clock());
    let builder = Gateway::builder(world.env.clone(), store).agent(mover()).skill(last);
    let error = chains.into_iter().fold(builder, GatewayBuilder::skill).start().await;
    let error = error.expect_err("it does not start");
    assert_eq!(error.kind(), ErrorKind::ValidationError, "{error}");
    let said: Vec<_> = error.context().collect();
    assert_eq!(said, [("skill", call.0), ("calls", call.1)], "{error}");
}

#[tokio::test(start_paused = true)]
async fn five_levels_do_not_start() {
    let names = ["move", "two", "three", "four", "five"];
    let chains = names.windows(2).map(|pair| Chain::new(pair[0], &[("op", pair[1])])).collect();
    refused(chains, remote("five", Touches::NOTHING).0, ("four", "five")).await;
}

#[tokio::test(start_paused = true)]
async fn a_circle_does_not_start() {
    let chains = vec![Chain::new("move", &[("op", "back")]), Chain::new("back", &[("op", "move")])];
    refused(chains, remote("note", Touches::NOTHING).0, ("move", "back")).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_not_added_does_not_start() {
    let chains = vec![Chain::new("move", &[("op", "gone")])];
    refused(chains, remote("note", Touches::NOTHING).0, ("move", "gone")).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_touches_more_than_its_caller_declares_does_not_start() {
    let chains = vec![Chain::new("move", &[("op", "pay")])];
    refused(chains, remote("pay", Touches::MONEY).0, ("move", "pay")).await;
}

#[tokio::test(start_paused = true)]
async fn a_skill_that_calls_others_and_is_not_pure_does_not_start() {
    let mut chain = Chain::new("move", &[("op", "note")]);
    chain.manifest = chain.manifest.effect(Effect::AtMostOnce);
    refused(vec![chain], remote("note", Touches::NOTHING).0, ("move", "note")).await;
}

#[tokio::test(start_paused = true)]
async fn a_skill_that_the_manifest_does_not_name_is_refused() {
    let (world, (note, notes)) = (World::new(1), remote("note", Touches::NOTHING));
    let (other, _) = remote("other", Touches::NOTHING);
    let mut chain = Chain::new("move", &[("op", "note")]);
    chain.manifest = SkillManifest::new(id("move"), "1.0.0").calls(id("other"));
    let run = world.start(|b| b.agent(mover()).skill(chain).skill(note).skill(other)).await;
    run.ends(world.tell("c1", "m1", "move").await, MessageState::Done).await;
    assert_eq!((world.platform.texts(), notes.calls_total()), (vec!["sorry".to_owned()], 0));
}

/// A skill that notes for whom it is called.
#[derive(Debug)]
struct Notes {
    manifest: SkillManifest,
    tenants: Arc<Mutex<Vec<TenantId>>>,
}

#[async_trait]
impl Skill for Notes {
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.tenants.lock().unwrap().push(call.context().tenant().clone());
        Ok(SkillAnswer::done(Value::Null))
    }
}

#[tokio::test(start_paused = true)]
async fn a_skill_can_not_speak_for_somebody_else() {
    let (world, tenants) = (World::new(1), Arc::default());
    let manifest = SkillManifest::new(id("note"), "1.0.0").effect(Effect::Pure);
    let note = Notes { manifest, tenants: Arc::clone(&tenants) };
    let chain = Chain::new("move", &[("note", "note")]);
    let run = world.start(|b| b.agent(mover()).skill(chain).skill(note)).await;
    run.ends(world.tell("c1", "m1", "move").await, MessageState::Done).await;
    assert_eq!(*tenants.lock().unwrap(), [tenant()]);
}

#[tokio::test(start_paused = true)]
async fn one_call_leads_to_a_bounded_number_of_sub_calls() {
    let world = World::new(1);
    let (note, notes) = remote("note", Touches::WRITES);
    let names: Vec<&'static str> = (0..65).map(|n| &*format!("op-{n}").leak()).collect();
    let parts: Vec<_> = names.iter().map(|name| (*name, "note")).collect();
    let run = world.start(|b| b.agent(mover()).skill(Chain::new("move", &parts)).skill(note)).await;
    run.ends(world.tell("c1", "m1", "move").await, MessageState::Done).await;
    assert_eq!((world.platform.texts(), notes.effects_total()), (vec!["sorry".to_owned()], 64));
}

/// A skill whose own time ends while its sub-call is on its way.
async fn cut_off(effect: Effect) -> (World, Run, MessageId, CountingRemote) {
    let (world, remote) = (World::new(1), CountingRemote::new(RemoteKind::Unkeyed));
    remote.script([Behaviour::Hang]);
    let manifest = SkillManifest::new(id("note"), "1.0.0").effect(effect).touches(Touches::WRITES);
    let note = RemoteSkill::new(manifest, remote.clone());
    let mut chain = Chain::new("move", &[("note", "note")]);
    chain.manifest = chain.manifest.timeout(Duration::from_secs(1));
    let run = world.start(|b| b.agent(mover()).skill(chain).skill(note)).await;
    let turn = world.tell("c1", "m1", "move").await;
    (world, run, turn, remote)
}

#[tokio::test(start_paused = true)]
async fn a_sub_call_cut_off_by_its_callers_time_is_not_hidden() {
    let (world, run, turn, remote) = cut_off(Effect::AtMostOnce).await;
    run.ends(turn, MessageState::Parked).await;
    assert_eq!(remote.calls_total(), 1, "never sent again");
    assert_eq!(world.platform.texts(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_sub_call_cut_off_is_settled_by_the_next_attempt() {
    let (world, run, turn, remote) = cut_off(Effect::Reconcilable).await;
    run.ends(turn, MessageState::Done).await;
    assert_eq!((world.platform.texts(), remote.effects_total()), (vec!["moved".to_owned()], 1));
}
