//! Approvals: a claim consumes one in its own commit, for exactly its request, once.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, Effect, ErrorKind, SkillId,
    agent::{Agent, Answer, agent_fn},
    gateway::MessageState,
    records::{Approval, ApprovalState, Approvals},
    skill::SkillRequest,
};
use openclaw_testkit::{
    fault::{Fault, FaultAgent, Plan},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Event,
};
use serde_json::{Value, json};

use crate::support::{Run, World, tenant};

const DAY: Duration = Duration::from_secs(86_400);

fn input() -> Value {
    json!({"to": "bob", "amount": 7})
}

/// Pays under the approval `a1`; fails behind the payment at its first `failures` attempts.
fn payer(failures: u64) -> impl Agent {
    let payer = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        let pay = SkillId::new("pay").unwrap();
        let paid = turn.call(SkillRequest::new(pay, "pay", input()).approved("a1")).await;
        Ok(Answer::text(paid.map_or_else(|e| e.kind().code(), |_| "paid")))
    });
    let plan = Plan::default();
    plan.next("handle", failures, Fault::LoseAnswer);
    FaultAgent::new(payer, plan)
}

struct Bank {
    world: World,
    remote: CountingRemote,
}

impl Bank {
    fn new() -> Self {
        Self { world: World::new(1), remote: CountingRemote::new(RemoteKind::Unkeyed) }
    }

    fn approvals(&self) -> Approvals {
        Approvals::new(Arc::new(self.world.rows.clone()), tenant())
    }

    /// Grants `a1` for a payment like this.
    async fn grant(&self, input: &Value, lasts: Duration) {
        let digest = Approval::digest_of(&tenant(), "pay", "1.0.0", input);
        let expires = self.world.env.now().after(lasts);
        self.approvals().grant("a1", &Approval::granted(digest, "carol", expires)).await.unwrap();
    }

    async fn state(&self) -> ApprovalState {
        self.approvals().get("a1").await.unwrap().unwrap().state
    }

    async fn start(&self, failures: u64) -> Run {
        let skill = RemoteSkill::named("pay", Effect::AtMostOnce, self.remote.clone()).unwrap();
        self.world.start(|b| b.agent(payer(failures)).skill(skill)).await
    }

    async fn pay(&self, run: &Run, place: &str) {
        run.ends(self.world.tell(place, place, "pay").await, MessageState::Done).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_commit_of_the_claim_consumes_the_approval() {
    let bank = Bank::new();
    bank.grant(&input(), DAY).await;
    let run = bank.start(0).await;
    bank.pay(&run, "c1").await;
    assert_eq!(
        (bank.world.platform.texts(), bank.remote.effects_total()),
        (vec!["paid".into()], 1)
    );
    assert_eq!(bank.state().await, ApprovalState::Consumed);
    let touches = |event: &Event| match event {
        Event::Commit { label, rows } => {
            let approval = |(key, _): &(Vec<u8>, _)| key.ends_with(b"\0\x02ap\0\x02a1");
            rows.iter().any(approval).then_some(*label)
        }
        _ => None,
    };
    let commits: Vec<&str> = bank.world.trace.events().iter().filter_map(touches).collect();
    assert_eq!(commits, ["claim"]);
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_good_for_one_effect() {
    let bank = Bank::new();
    bank.grant(&input(), DAY).await;
    let run = bank.start(0).await;
    bank.pay(&run, "c1").await;
    bank.pay(&run, "c2").await;
    assert_eq!(bank.world.platform.texts(), ["paid", "APPROVAL_REQUIRED"]);
    assert_eq!(bank.remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_turns_at_once_can_not_share_an_approval() {
    let bank = Bank::new();
    bank.grant(&input(), DAY).await;
    let run = bank.start(0).await;
    run.plan.delay("claim", Duration::from_millis(10));
    let tickets = ["c1", "c2"].map(|place| bank.world.say(place, place, "pay"));
    for ticket in tickets {
        run.ends(run.accepted(ticket).await, MessageState::Done).await;
    }
    let mut texts = bank.world.platform.texts();
    texts.sort();
    assert_eq!(texts, ["APPROVAL_REQUIRED", "paid"]);
    assert_eq!(bank.remote.effects_total(), 1);
}

/// Nothing is paid under this approval, and it stays as it was.
async fn refused(granted: &Value, lasts: Duration) {
    let bank = Bank::new();
    bank.grant(granted, lasts).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let run = bank.start(0).await;
    bank.pay(&run, "c1").await;
    assert_eq!(bank.world.platform.texts(), ["APPROVAL_REQUIRED"]);
    assert_eq!((bank.remote.calls_total(), bank.state().await), (0, ApprovalState::Granted));
}

#[tokio::test(start_paused = true)]
async fn an_approval_of_other_arguments_is_refused() {
    refused(&json!({"to": "bob", "amount": 70}), DAY).await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_approval_is_refused() {
    refused(&input(), Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_does_not_exist_is_refused() {
    let bank = Bank::new();
    let run = bank.start(0).await;
    bank.pay(&run, "c1").await;
    assert_eq!(
        (bank.world.platform.texts(), bank.remote.calls_total()),
        (vec!["APPROVAL_REQUIRED".to_owned()], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_done_effect_answers_again_although_its_approval_is_consumed() {
    let bank = Bank::new();
    bank.grant(&input(), DAY).await;
    let run = bank.start(1).await;
    bank.pay(&run, "c1").await;
    assert_eq!((bank.world.platform.texts(), bank.remote.calls_total()), (vec!["paid".into()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_not_stored_leaves_the_approval_alone() {
    let bank = Bank::new();
    bank.grant(&input(), DAY).await;
    let first = bank.start(0).await;
    first.plan.nth("claim", 1, Fault::CrashBefore);
    bank.world.say("c1", "c1", "pay");
    first.dies().await;
    assert_eq!(bank.state().await, ApprovalState::Granted);
    let second = bank.start(0).await;
    bank.pay(&second, "c1").await;
    assert_eq!((bank.remote.effects_total(), bank.state().await), (1, ApprovalState::Consumed));
}

#[tokio::test(start_paused = true)]
async fn a_claimed_effect_needs_no_second_approval_after_a_crash() {
    let bank = Bank::new();
    bank.grant(&input(), DAY).await;
    let first = bank.start(0).await;
    first.plan.nth("claim", 1, Fault::CrashAfter);
    bank.world.say("c1", "c1", "pay");
    first.dies().await;
    assert_eq!(bank.state().await, ApprovalState::Consumed);
    let second = bank.start(0).await;
    bank.pay(&second, "c1").await;
    assert_eq!(
        (bank.world.platform.texts(), bank.remote.effects_total()),
        (vec!["paid".into()], 1)
    );
}

/// The agent makes a text of any error: an answer that rests on an outage must not go out.
#[tokio::test(start_paused = true)]
async fn an_outage_behind_the_admission_never_becomes_the_answer() {
    for read in 1..=3 {
        let bank = Bank::new();
        bank.grant(&input(), DAY).await;
        let run = bank.start(0).await;
        run.plan.when("admit", move |plan| plan.fail_nth("read", read));
        bank.pay(&run, "c1").await;
        assert_eq!(run.plan.injected()["fail"], 1, "read {read}");
        let seen = (bank.world.platform.texts(), bank.remote.effects_total());
        assert_eq!(seen, (vec!["paid".into()], 1), "read {read}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_of_an_approval_is_granted_once() {
    let bank = Bank::new();
    bank.grant(&input(), DAY).await;
    let again = Approval::granted(
        Approval::digest_of(&tenant(), "pay", "1.0.0", &json!({})),
        "mallory",
        bank.world.env.now().after(DAY),
    );
    let e = bank.approvals().grant("a1", &again).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict);
}
