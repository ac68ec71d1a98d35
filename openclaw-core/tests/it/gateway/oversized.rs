//! What no row has room for: it ends where a person sees it, and nothing is done twice for it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Call, Effect, Error, ErrorKind, Happened, MessageId, Result, SkillId,
    agent::{Agent, Answer, agent_fn},
    channel::{Intent, Reconcile, Reconciled},
    gateway::MessageState,
    records::{AuditAction, EffectState},
    skill::{BrokenOutput, Skill, SkillAnswer, SkillManifest},
};
use serde_json::{Value, json};

use crate::support::{Run, World, tenant};

const KEYED: Effect = Effect::Keyed { retention: std::time::Duration::from_secs(3_600) };
const EFFECTS: [Effect; 4] = [Effect::AtMostOnce, Effect::AtLeastOnce, Effect::Reconcilable, KEYED];

/// No store of ours takes so many bytes as one value.
const HUGE: usize = 5 << 20;

fn huge() -> Arc<Value> {
    Arc::new("x".repeat(HUGE).into())
}

/// What a skill leaves that no row has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// An answer.
    Answer,
    /// An answer that breaks the contract, too.
    Broken,
    /// An error that quotes it, and did nothing.
    Words,
    /// An answer that only its owner's hook tells.
    Heard,
}

#[derive(Debug)]
struct Verbose {
    manifest: SkillManifest,
    leaves: Leaves,
    runs: Arc<AtomicU64>,
}

impl Verbose {
    fn new(effect: Effect, leaves: Leaves) -> Self {
        let manifest = SkillManifest::new(SkillId::new("pay").unwrap(), "1.0.0");
        Self { manifest: manifest.effect(effect), leaves, runs: Arc::default() }
    }
}

#[async_trait]
impl Skill for Verbose {
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, _: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        match self.leaves {
            Leaves::Answer => Ok(SkillAnswer::Done(huge())),
            Leaves::Broken => {
                let e = Error::new(ErrorKind::ValidationError, "the receipt is no text");
                Err(e.with_happened(Happened::Yes).with_source(BrokenOutput::new(huge())))
            }
            Leaves::Words => {
                let e = Error::new(ErrorKind::Conflict, "é".repeat(HUGE));
                Err(e.with_happened(Happened::No))
            }
            Leaves::Heard => {
                let e = Error::new(ErrorKind::Unavailable, "no answer");
                Err(e.with_happened(Happened::Maybe))
            }
        }
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.manifest.effect == Effect::Reconcilable).then_some(self)
    }
}

#[async_trait]
impl Reconcile for Verbose {
    async fn reconcile(&self, _: &Intent) -> Result<Reconciled> {
        Ok(Reconciled::Happened(huge()))
    }
}

/// Pays with this input, and gives up over any error, or makes a text of it; counts how often it is asked.
fn payer(input: Value, gives_up: bool, asked: &Arc<AtomicU64>) -> impl Agent + use<> {
    let asked = Arc::clone(asked);
    agent_fn(AgentId::new("payer").unwrap(), move |mut turn| {
        asked.fetch_add(1, Ordering::Relaxed);
        let input = input.clone();
        async move {
            match turn.skill("pay", "pay", input).await {
                Err(e) if gives_up => Err(e),
                Err(_) => Ok(Answer::text("sorry")),
                Ok(_) => Ok(Answer::text("paid")),
            }
        }
    })
}

async fn state(run: &Run, message: MessageId) -> EffectState {
    run.ledger(&tenant()).of_turn(message).await.unwrap().remove(0).1.state
}

/// The one alert of a trail.
async fn alert(run: &Run) -> Arc<str> {
    let entries = run.audit(&tenant()).entries().await.unwrap();
    let mut alerts = entries.into_iter().filter(|entry| entry.action == AuditAction::OutputBroken);
    let alert = alerts.next().expect("operators are told");
    assert!(alerts.next().is_none(), "once");
    alert.note
}

#[tokio::test(start_paused = true)]
async fn an_effect_whose_output_fits_into_no_row_is_done_once() {
    for (effect, leaves) in
        EFFECTS.iter().flat_map(|e| [(*e, Leaves::Answer), (*e, Leaves::Broken)])
    {
        for gives_up in [false, true] {
            let (world, asked) = (World::new(1), Arc::default());
            let skill = Verbose::new(effect, leaves);
            let runs = Arc::clone(&skill.runs);
            let agent = payer(json!(7), gives_up, &asked);
            let run = world.start(|b| b.agent(agent).skill(skill)).await;
            let message = world.tell("c1", "m1", "pay").await;
            let end = if gives_up { MessageState::Dead } else { MessageState::Done };
            run.ends(message, end).await;
            let counts = (runs.load(Ordering::Relaxed), asked.load(Ordering::Relaxed));
            assert_eq!(counts, (1, 1), "{effect:?} {leaves:?}");
            let kept = EffectState::Done { answer: SkillAnswer::Done(Arc::default()) };
            assert_eq!(state(&run, message).await, kept);
            let why = alert(&run).await;
            let told =
                if leaves == Leaves::Answer { "too large" } else { "the receipt is no text" };
            assert!(why.contains(told), "{why}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_output_that_a_hook_finds_and_no_row_takes_ends_the_doubt() {
    let (world, asked) = (World::new(1), Arc::default());
    let skill = Verbose::new(Effect::Reconcilable, Leaves::Heard);
    let runs = Arc::clone(&skill.runs);
    let agent = payer(json!(7), false, &asked);
    let run = world.start(|b| b.agent(agent).skill(skill)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let kept = EffectState::Done { answer: SkillAnswer::Done(Arc::default()) };
    assert_eq!(state(&run, message).await, kept);
    assert!(alert(&run).await.contains("too large"));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_fits_into_no_row_is_a_dead_letter() {
    // The second leaves no room for what its end writes.
    for size in [HUGE, (4 << 20) - 300] {
        let (world, asked) = (World::new(1), Arc::default());
        let skill = Verbose::new(Effect::AtLeastOnce, Leaves::Answer);
        let runs = Arc::clone(&skill.runs);
        let agent = payer("x".repeat(size).into(), true, &asked);
        let run = world.start(|b| b.agent(agent).skill(skill)).await;
        let message = world.tell("c1", "m1", "pay").await;
        run.ends(message, MessageState::Dead).await;
        assert_eq!((runs.load(Ordering::Relaxed), asked.load(Ordering::Relaxed)), (0, 1));
        let letter = run.dead_letters(&tenant()).show(message).await.unwrap().unwrap();
        assert_eq!(letter.kind, ErrorKind::ValidationError);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_fits_into_no_row_is_kept_in_part() {
    let (world, asked) = (World::new(1), Arc::default());
    let skill = Verbose::new(Effect::AtMostOnce, Leaves::Words);
    let runs = Arc::clone(&skill.runs);
    let agent = payer(json!(7), false, &asked);
    let run = world.start(|b| b.agent(agent).skill(skill)).await;
    let message = world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    assert_eq!((runs.load(Ordering::Relaxed), asked.load(Ordering::Relaxed)), (1, 1));
    let EffectState::Failed { message, .. } = state(&run, message).await else { panic!() };
    assert_eq!(message.len(), 8 << 10);
}
