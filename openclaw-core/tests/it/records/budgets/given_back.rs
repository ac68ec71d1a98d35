//! Claims that were never sent and are refused later: what they have reserved goes back at once.

use openclaw_core::{
    agent::{Agent, Answer, agent_fn},
    gateway::{GatewayBuilder, MessageState},
    rules::Rules,
};
use openclaw_testkit::{
    fault::Fault,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Event,
};

use super::*;
use crate::support::{Run, World, tenant};

struct Till {
    world: World,
    remote: CountingRemote,
    budgets: Budgets,
}

/// Pays so much once a message; whatever comes of it, it has an answer.
fn payer(amount: u64) -> impl Agent {
    agent_fn(agent("payer"), move |mut turn| async move {
        let paid = turn.skill("pay", "pay", json!({ "amount": amount })).await;
        Ok(Answer::text(paid.map_or("not paid", |_| "paid")))
    })
}

impl Till {
    fn new() -> Self {
        let limits = [
            BudgetLimit::new("payments", Period::Ever, 1),
            BudgetLimit::new("payments", Period::Ever, 1).each(BudgetScope::Run),
        ];
        let config = BudgetConfig::new([BudgetCost::new("payments", 1)], limits);
        Self {
            world: World::new(1),
            remote: CountingRemote::new(RemoteKind::Unkeyed),
            budgets: Budgets::new(config).unwrap(),
        }
    }

    async fn start(&self, change: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Run {
        let skill = RemoteSkill::named("pay", Effect::AtMostOnce, self.remote.clone()).unwrap();
        let budgets = self.budgets.clone();
        self.world.start(|b| change(b.skill(skill).budgets(budgets))).await
    }

    /// A process that dies behind its claim, then one that is composed otherwise; how it ends there.
    async fn dies_then(
        &self,
        change: impl FnOnce(GatewayBuilder) -> GatewayBuilder,
    ) -> (Run, MessageId, MessageState) {
        let first = self.start(|b| b.agent(payer(7))).await;
        first.plan.nth("claim", 1, Fault::CrashAfter);
        self.world.say("c1", "m1", "pay");
        first.dies().await;
        let second = self.start(change).await;
        let message = self.world.tell("c1", "m1", "pay").await;
        let state = second.end(message).await.state;
        (second, message, state)
    }
}

/// What is spent and reserved in each account.
async fn sums(run: &Run) -> Vec<(i64, i64)> {
    let balances = run.accounts(&tenant()).balances().await.unwrap();
    balances.iter().map(|balance| (balance.spent, balance.reserved)).collect()
}

async fn record(run: &Run, message: MessageId) -> EffectRecord {
    run.ledger(&tenant()).of_turn(message).await.unwrap().remove(0).1
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_refuses_an_unsent_claim_gives_back_in_its_own_commit() {
    let till = Till::new();
    let rules = Rules::from_json(r#"{ "rules": [] }"#).unwrap();
    let (run, message, state) = till.dies_then(|b| b.agent(payer(7)).authorizer(rules)).await;
    assert_eq!(state, MessageState::Done);
    assert_eq!(till.world.platform.texts(), ["not paid"]);
    assert_eq!(sums(&run).await, [(0, 0), (0, 0)]);
    assert_eq!(record(&run, message).await.state.name(), "claimed");
    let sums = |event: &Event| match event {
        Event::Commit { label, rows } => {
            let budgets = rows.iter().filter(|(key, _)| key.windows(4).any(|k| k == b"\0\x02bg"));
            Some((*label, budgets.count())).filter(|(_, rows)| *rows > 0)
        }
        _ => None,
    };
    let commits: Vec<_> = till.world.trace.events().iter().filter_map(sums).collect();
    assert_eq!(commits, [("claim", 2), ("deny", 2)], "none of its own");
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_reserves_again_when_the_rule_is_gone() {
    let till = Till::new();
    let rules = Rules::from_json(r#"{ "rules": [] }"#).unwrap();
    let fails = agent_fn(agent("payer"), |mut turn| async move {
        turn.skill("pay", "pay", json!({ "amount": 7 })).await?;
        Ok(Answer::text("paid"))
    });
    let (run, message, state) = till.dies_then(|b| b.agent(fails).authorizer(rules)).await;
    assert_eq!((state, sums(&run).await), (MessageState::Dead, vec![(0, 0), (0, 0)]));
    run.kill().await;
    let run = till.start(|b| b.agent(payer(7))).await;
    run.replay(&tenant(), message, "ann").await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!((sums(&run).await, till.remote.calls_total()), (vec![(1, 0), (1, 0)], 1));
}

#[tokio::test(start_paused = true)]
async fn a_claim_from_before_an_approval_was_needed_gives_back_and_is_parked() {
    let till = Till::new();
    let rules = json!({ "rules": [{ "name": "all", "then": { "require_approval": { "reason": "money" } } }] });
    let rules = Rules::from_json(&rules.to_string()).unwrap();
    let (run, message, state) = till.dies_then(|b| b.agent(payer(7)).authorizer(rules)).await;
    assert_eq!((state, sums(&run).await), (MessageState::Parked, vec![(0, 0), (0, 0)]));
    assert!(!record(&run, message).await.costs.iter().any(|share| share.reserved > 0));
}

#[tokio::test(start_paused = true)]
async fn a_claim_under_which_something_else_is_asked_for_gives_back_and_is_parked() {
    let till = Till::new();
    let (run, _, state) = till.dies_then(|b| b.agent(payer(8))).await;
    assert_eq!((state, sums(&run).await), (MessageState::Parked, vec![(0, 0), (0, 0)]));
    assert_eq!(till.remote.calls_total(), 0);
}
