//! Outputs that break the contract of their skill: kept and told, never used, never asked for again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Call, Effect, Error, ErrorKind, Happened, MessageId, Result, SkillId,
    agent::{Agent, Answer, agent_fn},
    channel::{Intent, Reconcile, Reconciled},
    gateway::MessageState,
    middleware::stack::{Resilience, ResilienceConfig},
    records::{AuditAction, EffectRecord, EffectState},
    skill::{BrokenOutput, Skill, SkillAnswer, SkillManifest},
};
use openclaw_testkit::{
    fault::{Fault, FaultAgent, FaultSkill, Plan},
    trace::Event,
};
use serde_json::{Value, json};

use crate::support::{Run, World, tenant};

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3_600) };
const EFFECTS: [Effect; 4] = [Effect::AtMostOnce, Effect::AtLeastOnce, Effect::Reconcilable, KEYED];

/// What the skill answers; a receipt is a text.
const OUTPUT: &str = r#"{"receipt":7}"#;

/// Who finds out that an output is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finds {
    /// Whoever asks `validate_output`.
    Caller,
    /// The skill itself: its run ends with an error.
    Run,
    /// Nobody: the check panics.
    Panics,
    /// All is well.
    Nothing,
}

/// Does what it is asked, and then breaks its own contract.
#[derive(Debug)]
struct Sloppy {
    manifest: SkillManifest,
    finds: Finds,
    runs: Arc<AtomicU64>,
}

impl Sloppy {
    fn new(effect: Effect, finds: Finds) -> Self {
        let manifest = SkillManifest::new(SkillId::new("pay").unwrap(), "1.0.0");
        Self { manifest: manifest.effect(effect), finds, runs: Arc::default() }
    }
}

fn output() -> Arc<Value> {
    Arc::new(serde_json::from_str(OUTPUT).unwrap())
}

fn breach() -> Error {
    Error::new(ErrorKind::ValidationError, "the receipt is no text").with("pointer", "/receipt")
}

#[async_trait]
impl Skill for Sloppy {
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, _: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if self.finds == Finds::Run {
            let broken = breach().with_happened(Happened::Yes);
            return Err(broken.with_source(BrokenOutput::new(output())));
        }
        Ok(SkillAnswer::Done(output()))
    }

    fn validate_output(&self, found: &Value) -> Result<()> {
        assert_eq!(*found, *output());
        match self.finds {
            Finds::Nothing => Ok(()),
            Finds::Panics => panic!("a check that can't cope"),
            Finds::Caller | Finds::Run => Err(breach()),
        }
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.manifest.effect == Effect::Reconcilable).then_some(self)
    }
}

#[async_trait]
impl Reconcile for Sloppy {
    async fn reconcile(&self, _: &Intent) -> Result<Reconciled> {
        Ok(Reconciled::Happened(output()))
    }
}

/// What agents were told of their calls.
type Told = Arc<Mutex<Vec<Result<SkillAnswer>>>>;

/// Pays, makes a text of any error, and loses its first `lost` answers.
fn payer(told: &Told, lost: u64) -> impl Agent {
    let told = Arc::clone(told);
    let agent = agent_fn(AgentId::new("payer").unwrap(), move |mut turn| {
        let told = Arc::clone(&told);
        async move {
            let paid = turn.skill("pay", "pay", json!({ "amount": 7 })).await;
            let text = paid.as_ref().map_or("sorry", |_| "paid").to_owned();
            told.lock().unwrap().push(paid);
            Ok(Answer::text(text))
        }
    });
    let plan = Plan::default();
    plan.next("handle", lost, Fault::LoseAnswer);
    FaultAgent::new(agent, plan)
}

async fn record(run: &Run, message: MessageId) -> EffectRecord {
    run.ledger(&tenant()).of_turn(message).await.unwrap().remove(0).1
}

async fn trail(run: &Run) -> Vec<(AuditAction, Arc<str>)> {
    let entries = run.audit(&tenant()).entries().await.unwrap();
    entries.into_iter().map(|entry| (entry.action, entry.note)).collect()
}

/// It is done, its output is kept, and operators are told why nobody gets it.
async fn kept(run: &Run, message: MessageId, why: &str) {
    let record = record(run, message).await;
    let EffectState::Done { answer } = &record.state else { panic!("{record:?}") };
    assert_eq!(*answer, SkillAnswer::Done(output()));
    assert_eq!(record.breach.as_deref(), Some(why));
    let trail = trail(run).await;
    let count = |wanted: AuditAction| trail.iter().filter(|(action, _)| *action == wanted).count();
    assert_eq!((count(AuditAction::EffectDone), count(AuditAction::OutputBroken)), (1, 1));
    assert_eq!(count(AuditAction::EffectFailed), 0);
    let alert = trail.iter().find(|(action, _)| *action == AuditAction::OutputBroken).unwrap();
    assert_eq!(&*alert.1, why);
}

const WHY: &str = "the receipt is no text; pointer: /receipt";

/// Everything that an agent can tell from an error.
fn seen(outcome: &Result<SkillAnswer>) -> (ErrorKind, Happened, bool, String, String) {
    let e = outcome.as_ref().unwrap_err();
    let (message, public) = (e.message().to_owned(), e.public().to_owned());
    (e.kind(), e.happened(), e.is_exhausted(), message, public)
}

#[tokio::test(start_paused = true)]
async fn an_effect_with_a_broken_output_is_done_and_never_made_again() {
    for (effect, finds) in EFFECTS.iter().flat_map(|e| [(*e, Finds::Caller), (*e, Finds::Run)]) {
        let (world, told) = (World::new(1), Told::default());
        let skill = Sloppy::new(effect, finds);
        let runs = Arc::clone(&skill.runs);
        let stacks = Resilience::new(ResilienceConfig::from_json("{}").unwrap()).unwrap();
        let agent = payer(&told, 1);
        let run = world.start(|b| b.agent(agent).skill(skill).resilience(stacks)).await;
        let message = world.tell("c1", "m1", "pay").await;
        run.ends(message, MessageState::Done).await;
        assert_eq!(world.platform.texts(), ["sorry"]);
        assert_eq!(runs.load(Ordering::Relaxed), 1, "{effect:?} {finds:?}");
        kept(&run, message, WHY).await;
        // Told at first, and again from the record.
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 2);
        let (kind, happened, exhausted, message, public) = seen(&told[0]);
        assert_eq!((kind, happened), (ErrorKind::ValidationError, Happened::Yes));
        assert!(exhausted && message.ends_with(WHY), "{message}");
        assert!(public.contains("do not ask for it again"), "{public}");
        assert_eq!(seen(&told[1]), seen(&told[0]));
    }
}

#[tokio::test(start_paused = true)]
async fn the_alert_is_in_the_commit_of_the_effect() {
    let (world, told) = (World::new(1), Told::default());
    let skill = Sloppy::new(Effect::AtMostOnce, Finds::Caller);
    let run = world.start(|b| b.agent(payer(&told, 0)).skill(skill)).await;
    run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
    let entries = |event: &Event| match event {
        Event::Commit { label: "settle", rows } => {
            Some(rows.iter().filter(|(key, _)| key.ends_with(b"\0\x02au")).count())
        }
        _ => None,
    };
    let counts: Vec<usize> = world.trace.events().iter().filter_map(entries).collect();
    assert_eq!(counts, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_gives_up_over_it_is_a_dead_letter_at_once() {
    let (world, skill) = (World::new(1), Sloppy::new(Effect::AtLeastOnce, Finds::Caller));
    let runs = Arc::clone(&skill.runs);
    let agent = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        turn.skill("pay", "pay", json!(7)).await.map(|_| Answer::text("paid"))
    });
    let run = world.start(|b| b.agent(agent).skill(skill)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Dead).await;
    let letter = run.dead_letters(&tenant()).show(message).await.unwrap().unwrap();
    assert_eq!((letter.attempts, letter.kind), (1, ErrorKind::ValidationError));
    run.replay(&tenant(), message, "ann").await.unwrap();
    run.ends(message, MessageState::Dead).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_hook_finds_is_judged_too() {
    let (world, told) = (World::new(1), Told::default());
    let agent = payer(&told, 0);
    let plan = Plan::default();
    plan.next("run", 1, Fault::LoseAnswer);
    let sloppy = Sloppy::new(Effect::Reconcilable, Finds::Caller);
    let runs = Arc::clone(&sloppy.runs);
    let run = world.start(|b| b.agent(agent).skill(FaultSkill::new(sloppy, plan))).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    kept(&run, message, WHY).await;
    let told = told.lock().unwrap();
    let (kind, happened, exhausted, ..) = seen(told.last().unwrap());
    assert_eq!((kind, happened), (ErrorKind::ValidationError, Happened::Yes));
    assert!(exhausted);
}

#[tokio::test(start_paused = true)]
async fn a_settling_without_an_answer_loses_neither_output_nor_alert() {
    for fault in [Fault::CrashAfter, Fault::LoseAnswer] {
        let (world, told) = (World::new(1), Told::default());
        let skill = || Sloppy::new(Effect::AtMostOnce, Finds::Caller);
        let run = world.start(|b| b.agent(payer(&told, 0)).skill(skill())).await;
        run.plan.nth("settle", 1, fault);
        world.say("c1", "m1", "pay");
        let run = if fault == Fault::CrashAfter {
            run.dies().await;
            world.start(|b| b.agent(payer(&told, 0)).skill(skill())).await
        } else {
            run
        };
        let message = world.tell("c1", "m1", "pay").await;
        run.ends(message, MessageState::Done).await;
        kept(&run, message, WHY).await;
        assert_eq!(seen(told.lock().unwrap().last().unwrap()).1, Happened::Yes, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_lets_nothing_through() {
    let (world, told) = (World::new(1), Told::default());
    let skill = Sloppy::new(Effect::AtMostOnce, Finds::Panics);
    let run = world.start(|b| b.agent(payer(&told, 0)).skill(skill)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    kept(&run, message, "the check of the output panicked").await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_output_of_a_pure_skill_is_just_an_error() {
    for finds in [Finds::Caller, Finds::Panics] {
        let (world, told) = (World::new(1), Told::default());
        let skill = Sloppy::new(Effect::Pure, finds);
        let runs = Arc::clone(&skill.runs);
        let run = world.start(|b| b.agent(payer(&told, 1)).skill(skill)).await;
        let message = world.tell("c1", "m1", "pay").await;
        run.ends(message, MessageState::Done).await;
        assert_eq!(runs.load(Ordering::Relaxed), 2, "it may run any number of times");
        assert!(run.ledger(&tenant()).of_turn(message).await.unwrap().is_empty());
        assert_eq!(seen(&told.lock().unwrap()[0]).1, Happened::No);
        assert!(trail(&run).await.iter().all(|(a, _)| *a != AuditAction::OutputBroken));
    }
}

#[tokio::test(start_paused = true)]
async fn an_output_that_keeps_its_contract_is_the_answer() {
    for effect in EFFECTS.into_iter().chain([Effect::Pure]) {
        let (world, told) = (World::new(1), Told::default());
        let skill = Sloppy::new(effect, Finds::Nothing);
        let run = world.start(|b| b.agent(payer(&told, 1)).skill(skill)).await;
        run.ends(world.tell("c1", "m1", "pay").await, MessageState::Done).await;
        for outcome in told.lock().unwrap().iter() {
            assert_eq!(*outcome.as_ref().unwrap(), SkillAnswer::Done(output()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_person_says_of_an_effect_is_taken_as_it_is() {
    let (world, told) = (World::new(1), Told::default());
    let plan = Plan::default();
    plan.next("run", 1, Fault::LoseAnswer);
    let skill = FaultSkill::new(Sloppy::new(Effect::AtMostOnce, Finds::Caller), plan);
    let run = world.start(|b| b.agent(payer(&told, 0)).skill(skill)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Parked).await;
    let answer = SkillAnswer::Done(output());
    run.decide(&tenant(), message, "pay", Some(answer.clone()), "ann").await.unwrap();
    run.replay(&tenant(), message, "ann").await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(*told.lock().unwrap().last().unwrap().as_ref().unwrap(), answer);
    assert_eq!(record(&run, message).await.breach, None);
}
