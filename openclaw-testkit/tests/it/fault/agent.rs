//! An agent's faults, seen by whoever opened the turn.

use std::sync::Arc;

use openclaw_core::{
    Call, ChannelId, Content, Context, Conversation, Envelope, Error, ErrorKind, MessageId, Result,
    Sender, TenantId,
    agent::{Agent, Answer, Budget, SessionWrite, Turn, TurnRequest},
    skill::{SkillAnswer, SkillManifest, SkillPort, SkillRequest},
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::{Fault, FaultAgent, Plan},
};
use serde_json::Value;

use super::{MINUTE, after, context, hangs, injected, once};

/// There are no skills.
#[derive(Debug)]
struct Bare;

#[async_trait::async_trait]
impl SkillPort for Bare {
    fn manifests(&self) -> Vec<&SkillManifest> {
        Vec::new()
    }

    async fn call(&self, _: &Context, _: SkillRequest) -> Result<SkillAnswer> {
        Err(Error::new(ErrorKind::NotFound, "there are no skills"))
    }
}

fn desk(plan: &Plan) -> FaultAgent<ScriptedAgent> {
    let script = ScriptedAgent::new("desk").unwrap().always().then_say("{text}");
    FaultAgent::new(script, plan.clone())
}

fn turn(agent: &dyn Agent, text: &str) -> (Turn, SessionWrite) {
    let chat = Conversation::new(ChannelId::new("web").unwrap(), "c1");
    let tenant = TenantId::new("acme").unwrap();
    let envelope = Envelope::new(tenant, chat, Sender::new("ann"), Content::text(text));
    let message = MessageId::from_u128(1);
    let request = TurnRequest::new(message, Arc::new(envelope), Arc::new(Value::Null));
    Turn::open(Call::agent(context(), agent, request), Arc::new(Bare), Budget::default())
}

async fn says(agent: &dyn Agent, text: &str) -> Result<Answer> {
    agent.handle(turn(agent, text).0).await
}

#[tokio::test(start_paused = true)]
async fn an_attempt_fails_so_often_and_then_works() {
    let plan = Plan::default();
    plan.fail_next("handle", 2);
    let agent = desk(&plan);
    for _ in 0..2 {
        assert_eq!(says(&agent, "hm").await.unwrap_err().kind(), ErrorKind::ServerError);
    }
    assert_eq!(says(&agent, "hm").await.unwrap(), Answer::text("hm"));
    assert_eq!(plan.injected()["fail"], 2);
}

#[tokio::test(start_paused = true)]
async fn only_the_words_that_are_named_are_poison() {
    let plan = Plan::default();
    plan.fail("poison");
    let agent = desk(&plan);
    assert!(says(&agent, "poison").await.is_err());
    assert!(says(&agent, "poison is fine here").await.is_ok());
    plan.heal();
    assert!(says(&agent, "poison").await.is_ok());
    plan.fail("desk");
    assert!(says(&agent, "fine").await.is_err(), "the agent's own name is one too");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_answer_is_lost_did_its_work() {
    let plan = once("handle", Fault::LoseAnswer);
    let agent = desk(&plan);
    let (turn, written) = turn(&agent, "hm");
    assert!(agent.handle(turn).await.is_err());
    assert!(written.take().is_some(), "it wrote its session");
    injected(&plan, Fault::LoseAnswer);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_late_hangs_panics_or_crashes() {
    let agent = desk(&once("handle", Fault::Delay(MINUTE)));
    after(MINUTE, says(&agent, "hm")).await.unwrap();
    let agent = desk(&once("handle", Fault::Hang));
    let (opened, written) = turn(&agent, "hm");
    hangs(agent.handle(opened)).await;
    assert!(written.take().is_none());
    let agent = desk(&once("handle", Fault::Panic));
    assert!(tokio::spawn(async move { says(&agent, "hm").await }).await.unwrap_err().is_panic());
    for (fault, worked) in [(Fault::CrashBefore, false), (Fault::CrashAfter, true)] {
        let plan = once("handle", fault);
        let agent = desk(&plan);
        let (opened, written) = turn(&agent, "hm");
        hangs(agent.handle(opened)).await;
        assert_eq!((written.take().is_some(), plan.power().is_on()), (worked, false), "{fault:?}");
    }
}
