//! Budgets in a gateway: agents hear of them, crashes and people settle them.

use openclaw_core::{
    agent::Agent,
    gateway::{GatewayBuilder, GatewayConfig, MessageState},
};
use openclaw_testkit::{
    agent::ScriptedAgent,
    fault::Fault,
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
};

use super::*;
use crate::support::{Run, World, tenant};

const HOUR: Duration = Duration::from_secs(3_600);

struct Bank {
    world: World,
    remote: CountingRemote,
    effect: Effect,
    budgets: Budgets,
}

/// Pays once a message, and apologises.
fn payer(says_sorry: bool) -> impl Agent {
    let scene =
        ScriptedAgent::new("payer").unwrap().always().call("pay", "pay", json!({"to": "bob"}));
    let scene = if says_sorry { scene.or_say("sorry") } else { scene };
    scene.then_say("paid")
}

/// What is finished is kept for two hours, and swept when a test asks for it.
fn config() -> GatewayConfig {
    let mut config = GatewayConfig::default();
    let keep = Some(2 * HOUR);
    (config.retention.messages, config.retention.dead_letters) = (keep, keep);
    config.retention.every = 10_000 * HOUR;
    config
}

impl Bank {
    /// A bank with room for so many payments for good.
    fn new(effect: Effect, most: u64) -> Self {
        let limits = [BudgetLimit::new("payments", Period::Ever, most)];
        let config = BudgetConfig::new([BudgetCost::new("payments", 1)], limits);
        let mut world = World::new(1);
        world.capabilities.redelivery_horizon = HOUR;
        Self {
            world,
            remote: CountingRemote::new(RemoteKind::Unkeyed),
            effect,
            budgets: Budgets::new(config).unwrap(),
        }
    }

    async fn start(&self) -> Run {
        let skill = RemoteSkill::named("pay", self.effect, self.remote.clone()).unwrap();
        let budgets = self.budgets.clone();
        let start =
            |b: GatewayBuilder| b.agent(payer(true)).skill(skill).budgets(budgets).config(config());
        self.world.start(start).await
    }

    async fn sums(&self, run: &Run) -> (i64, i64) {
        let balances = run.accounts(&tenant()).balances().await.unwrap();
        balances.first().map_or((0, 0), |balance| (balance.spent, balance.reserved))
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_hears_that_a_budget_is_spent_and_says_so() {
    for effect in [Effect::AtMostOnce, Effect::Pure] {
        let bank = Bank::new(effect, 2);
        let run = bank.start().await;
        for n in 0..4 {
            let message = bank.world.tell(&format!("c{n}"), &format!("m{n}"), "pay").await;
            run.ends(message, MessageState::Done).await;
        }
        assert_eq!(bank.world.platform.texts(), ["paid", "paid", "sorry", "sorry"], "{effect:?}");
        assert_eq!(bank.remote.calls_total(), 2);
        assert_eq!(bank.sums(&run).await, (2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_crashed_goes_on_with_what_it_reserved() {
    for (label, fault) in [
        ("claim", Fault::CrashAfter),
        ("dispatch", Fault::CrashAfter),
        ("settle", Fault::CrashBefore),
        ("settle", Fault::CrashAfter),
        ("turn", Fault::CrashBefore),
    ] {
        let bank = Bank::new(Effect::AtLeastOnce, 1);
        let first = bank.start().await;
        first.plan.nth(label, 1, fault);
        bank.world.say("c1", "m1", "pay");
        first.dies().await;
        let second = bank.start().await;
        let (spent, reserved) = bank.sums(&second).await;
        assert_eq!(spent + reserved, 1, "{label} {fault:?}");
        second.ends(bank.world.tell("c1", "m1", "pay").await, MessageState::Done).await;
        assert_eq!(bank.world.platform.texts(), ["paid"], "{label} {fault:?}");
        assert_eq!(bank.sums(&second).await, (1, 0), "{label} {fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_payment_stays_reserved_until_an_operator_decides() {
    for happened in [true, false] {
        let bank = Bank::new(Effect::AtMostOnce, 1);
        bank.remote.script([Behaviour::LoseAnswer]);
        let run = bank.start().await;
        let parked = bank.world.tell("c1", "m1", "pay").await;
        run.ends(parked, MessageState::Parked).await;
        assert_eq!(bank.sums(&run).await, (0, 1));
        let other = bank.world.tell("c2", "m2", "pay").await;
        run.ends(other, MessageState::Done).await;
        assert_eq!(bank.world.platform.texts(), ["sorry"], "what is in doubt holds its place");
        let answer = happened.then(|| SkillAnswer::done(json!("seen")));
        run.decide(&tenant(), parked, "pay", answer, "ann").await.unwrap();
        assert_eq!(bank.sums(&run).await, if happened { (1, 0) } else { (0, 0) });
        run.replay(&tenant(), parked, "ann").await.unwrap();
        run.ends(parked, MessageState::Done).await;
        assert_eq!(bank.sums(&run).await, (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_purged_doubt_is_spent_when_its_record_goes() {
    let bank = Bank::new(Effect::AtMostOnce, 1);
    bank.remote.script([Behaviour::LoseAnswer]);
    let run = bank.start().await;
    let parked = bank.world.tell("c1", "m1", "pay").await;
    run.ends(parked, MessageState::Parked).await;
    assert!(run.purge(&tenant(), parked, "ann").await.unwrap());
    assert_eq!(bank.sums(&run).await, (0, 1));
    tokio::time::sleep(3 * HOUR).await;
    run.sweep().await.unwrap();
    assert!(run.ledger(&tenant()).of_turn(parked).await.unwrap().is_empty());
    assert_eq!(bank.sums(&run).await, (1, 0), "it may have happened");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_nobody_asks_for_again_is_given_back_with_its_record() {
    let bank = Bank::new(Effect::AtMostOnce, 1);
    let first = bank.start().await;
    first.plan.nth("claim", 1, Fault::CrashAfter);
    bank.world.say("c1", "m1", "pay");
    first.dies().await;
    // The next version of the program has another agent.
    let budgets = bank.budgets.clone();
    let echo = crate::support::echo();
    let second = bank.world.start(|b| b.agent(echo).budgets(budgets).config(config())).await;
    let dead = bank.world.tell("c1", "m1", "pay").await;
    second.ends(dead, MessageState::Dead).await;
    assert_eq!(bank.sums(&second).await, (0, 1));
    for _ in 0..2 {
        tokio::time::sleep(3 * HOUR).await;
        second.sweep().await.unwrap();
    }
    assert!(second.ledger(&tenant()).of_turn(dead).await.unwrap().is_empty());
    assert_eq!(bank.sums(&second).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_an_apology_is_the_turn_s_error() {
    let bank = Bank::new(Effect::AtMostOnce, 0);
    let skill = RemoteSkill::named("pay", bank.effect, bank.remote.clone()).unwrap();
    let budgets = bank.budgets.clone();
    let run = bank.world.start(|b| b.agent(payer(false)).skill(skill).budgets(budgets)).await;
    let end = run.end(bank.world.tell("c1", "m1", "pay").await).await;
    assert_eq!(end.state, MessageState::Dead, "an absolute limit: another attempt is of no use");
    assert!(end.error.unwrap().contains("the budget is spent"));
    assert_eq!(bank.remote.calls_total(), 0);
}

/// Asks for so many things in a turn, and says how many were done.
fn buyer(calls: usize) -> impl Agent {
    openclaw_core::agent::agent_fn(agent("buyer"), move |mut turn| async move {
        assert_eq!(turn.context().payer().unwrap().run, Some(turn.id()));
        let mut done = 0;
        for n in 0..calls {
            done += u32::from(turn.skill("pay", &format!("pay{n}"), json!({})).await.is_ok());
        }
        Ok(openclaw_core::agent::Answer::text(done.to_string()))
    })
}

impl Bank {
    /// A bank with these limits of payments.
    fn limited(effect: Effect, limits: impl IntoIterator<Item = BudgetLimit>) -> Self {
        let bank = Self::new(effect, 0);
        let config = BudgetConfig::new([BudgetCost::new("payments", 1)], limits);
        bank.budgets.reload(config).unwrap();
        bank
    }

    async fn start_buyer(&self, calls: usize) -> Run {
        let skill = RemoteSkill::named("pay", self.effect, self.remote.clone()).unwrap();
        let budgets = self.budgets.clone();
        let start = |b: GatewayBuilder| {
            b.agent(buyer(calls)).skill(skill).budgets(budgets).config(config())
        };
        self.world.start(start).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_counts_in_the_limits_of_its_run_its_session_and_its_agent() {
    let limit = |scope, per, most| BudgetLimit::new("payments", per, most).each(scope);
    for effect in [Effect::AtMostOnce, Effect::Pure] {
        let bank = Bank::limited(
            effect,
            [
                limit(BudgetScope::Agent, Period::Month, 5),
                limit(BudgetScope::Session, Period::Day, 3),
                limit(BudgetScope::Run, Period::Ever, 2),
            ],
        );
        let run = bank.start_buyer(4).await;
        let mut messages = Vec::new();
        for (n, place) in ["c1", "c1", "c2", "c3"].into_iter().enumerate() {
            let message = bank.world.tell(place, &format!("m{n}"), "buy").await;
            run.ends(message, MessageState::Done).await;
            messages.push(message);
        }
        assert_eq!(bank.world.platform.texts(), ["2", "1", "2", "0"], "{effect:?}");
        let overview = run.accounts(&tenant()).overview().await.unwrap();
        let sums = |at: usize| -> Vec<_> {
            let accounts = overview[at].accounts.iter();
            accounts.map(|b| (b.account.holder.clone(), b.spent, b.reserved)).collect()
        };
        assert_eq!(sums(0), [(Holder::Agent(agent("buyer")), 5, 0)]);
        let chat = |name| Holder::Session(crate::support::chat(name).session());
        assert_eq!(sums(1), [(chat("c1"), 3, 0), (chat("c2"), 2, 0)]);
        let run = |at: usize, spent| (Holder::Run(messages[at]), spent, 0);
        assert_eq!(sums(2), [run(0, 2), run(2, 2), run(1, 1)]);
        assert_eq!(bank.remote.calls_total(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_has_spent_is_kept_until_its_message_is_finished() {
    let limits = [BudgetLimit::new("payments", Period::Ever, 2).each(BudgetScope::Run)];
    let bank = Bank::limited(Effect::AtMostOnce, limits);
    let run = bank.start_buyer(1).await;
    bank.remote.script([Behaviour::LoseAnswer]);
    let parked = bank.world.tell("c1", "m1", "buy").await;
    run.ends(parked, MessageState::Parked).await;
    let done = bank.world.tell("c2", "m2", "buy").await;
    run.ends(done, MessageState::Done).await;
    let answer = Some(SkillAnswer::done(json!("seen")));
    run.decide(&tenant(), parked, "pay0", answer, "ann").await.unwrap();
    tokio::time::sleep(72 * HOUR).await;
    run.sweep().await.unwrap();
    let holders = async || -> Vec<_> {
        let balances = run.accounts(&tenant()).balances().await.unwrap();
        balances.into_iter().map(|balance| balance.account.holder).collect()
    };
    assert_eq!(holders().await, [Holder::Run(parked)], "a letter may be replayed");
    run.replay(&tenant(), parked, "ann").await.unwrap();
    run.ends(parked, MessageState::Done).await;
    run.sweep().await.unwrap();
    assert!(holders().await.is_empty());
}
