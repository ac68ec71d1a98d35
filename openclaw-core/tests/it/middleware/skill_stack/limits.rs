//! Budgets, retries, breakers: what refuses costs neither an approval nor an attempt.

use openclaw_core::records::{BudgetConfig, BudgetCost, BudgetLimit, Budgets, EffectState, Period};
use openclaw_testkit::remote::Behaviour;
use tokio::time::sleep;

use super::*;

/// A breaker that one failure opens, for an hour.
fn brittle() -> Resilience {
    resilience(
        r#"{ "skill": { "pay": { "retry": "off",
        "breaker": { "consecutive_failures": 1, "open_wait": "1h", "max_open_wait": "1h" } } } }"#,
    )
}

/// A call costs 300, and 1,000 may be spent in an hour.
fn budgets() -> Budgets {
    let costs = [BudgetCost::new("usd", 300)];
    Budgets::new(BudgetConfig::new(costs, [BudgetLimit::new("usd", Period::Hour, 1000)])).unwrap()
}

async fn balance(bank: &Bank) -> (i64, i64) {
    let store: SharedStore = Arc::new(bank.rows.clone());
    let accounts = budgets().accounts(store, bank.env.clone(), tenant());
    let last = accounts.balances().await.unwrap().pop();
    last.map_or((0, 0), |balance| (balance.spent, balance.reserved))
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_retried_where_the_effect_allows_it() {
    for (effect, calls) in [
        (Effect::Pure, 2),
        (KEYED, 2),
        (Effect::AtMostOnce, 1),
        (Effect::AtLeastOnce, 2),
        (Effect::Reconcilable, 1),
    ] {
        let bank = Bank::new(RemoteKind::Keyed);
        bank.remote.script([Behaviour::Busy { retry_after: S }]);
        let outcome = pay(&bank.stack(effect, |b| b), "1").await;
        assert_eq!(bank.remote.calls_total(), calls, "{effect:?}: {outcome:?}");
        assert_eq!(outcome.is_ok(), calls == 2, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_surely_failed_is_retried_under_one_claim() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    bank.remote.script([Behaviour::FailBefore, Behaviour::FailBefore]);
    pay(&bank.stack(Effect::AtMostOnce, |b| b), "1").await.unwrap();
    assert_eq!(bank.counts(), (1, 3));
    assert_eq!(bank.audited(AuditAction::EffectClaimed).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_spends_neither_the_approval_nor_an_attempt() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let limits = brittle();
    let stack = bank.stack(Effect::AtMostOnce, |b| b.resilience(limits.clone()));
    let strict = bank.stack(Effect::AtMostOnce, |b| {
        b.resilience(limits.clone()).authorizer(one()).budgets(budgets())
    });
    let request = asked(pay(&strict, "1").await);
    says(&strict, "bob", &request, Vote::yes()).await.unwrap();
    bank.remote.script([Behaviour::FailBefore]);
    pay(&stack, "other").await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(told(pay(&strict, "1").await), (ErrorKind::CircuitOpen, Happened::No));
        let record = record(&strict, "1").await;
        assert_eq!(record.state, EffectState::NEW, "no attempt is spent");
        assert_eq!(record.approval.as_deref(), Some(&*request), "and the yes is its own");
        assert_eq!(balance(&bank).await, (0, 0), "what was reserved is given back");
    }
    assert_eq!(bank.counts(), (0, 1));
    let breaker = strict.resilience().skill("pay").breaker(&tenant()).unwrap();
    breaker.reset();
    pay(&strict, "1").await.unwrap();
    assert_eq!((bank.counts(), balance(&bank).await), ((1, 2), (300, 0)));
    let trail = bank.trail().await;
    let asked = trail.iter().filter(|entry| entry.action == AuditAction::ApprovalRequested);
    assert_eq!(asked.count(), 1, "nobody was asked again");
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_refuses_and_leaves_the_approval_unused() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let spender = bank.stack(Effect::AtMostOnce, |b| b.budgets(budgets()));
    let strict = bank.stack(Effect::AtMostOnce, |b| {
        b.budgets(budgets()).authorizer(asks(&json!({ "ttl": "10h", "reason": "it is money" })))
    });
    let request = asked(pay(&strict, "1").await);
    says(&strict, "bob", &request, Vote::yes()).await.unwrap();
    for run in ["a", "b", "c"] {
        pay(&spender, run).await.unwrap();
    }
    assert_eq!(reason(&pay(&strict, "1").await), Some(Reason::BudgetSpent));
    assert_eq!(approval(&strict, &request).await.state, ApprovalState::Granted);
    assert_eq!((bank.counts(), balance(&bank).await), ((3, 3), (900, 0)));
    pay(&spender, "a").await.unwrap();
    sleep(HOUR).await;
    pay(&strict, "1").await.unwrap();
    assert_eq!((bank.counts(), balance(&bank).await), ((4, 4), (300, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_pure_call_is_charged_without_a_record() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let limits = brittle();
    let stack = bank.stack(Effect::Pure, |b| b.budgets(budgets()).resilience(limits.clone()));
    pay(&stack, "1").await.unwrap();
    assert_eq!((balance(&bank).await, bank.rows_of("ik").await), ((300, 0), 0));
    bank.remote.script([Behaviour::FailBefore]);
    pay(&stack, "2").await.unwrap_err();
    let before = balance(&bank).await;
    assert_eq!(told(pay(&stack, "3").await).0, ErrorKind::CircuitOpen);
    assert_eq!(balance(&bank).await, before, "what was surely not made costs nothing");
}

#[tokio::test(start_paused = true)]
async fn limits_change_while_the_stack_runs() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(Effect::AtMostOnce, |b| b.resilience(brittle()));
    let off = r#"{ "skill": { "pay": { "retry": "off", "breaker": "off" } } }"#;
    stack.resilience().reload(ResilienceConfig::from_json(off).unwrap()).unwrap();
    bank.remote.script([Behaviour::FailBefore]);
    assert_eq!(told(pay(&stack, "1").await).0, ErrorKind::Unavailable);
    pay(&stack, "1").await.unwrap();
    assert_eq!(bank.counts(), (1, 2));
}
