//! Looking at accounts, adjusting them, and forgetting windows that are over.

use openclaw_core::records::{AuditAction, AuditLog, Inventory};
use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_balance_says_what_is_spent_reserved_and_left() {
    let shop = Shop::of(Period::Month);
    assert!(shop.balances().await.is_empty());
    shop.ask(call("1"), Does::Ok(Some(250))).await.unwrap();
    shop.ask(call("2"), Does::Lost).await.unwrap_err();
    shop.accounts("acme").adjust(&account(Period::Month), 40, "ann", "a bill").await.unwrap();
    let [balance] = &shop.balances().await[..] else { panic!("one account") };
    assert_eq!(balance.account, account(Period::Month));
    assert_eq!((balance.spent, balance.reserved, balance.adjusted), (290, 300, 40));
    assert_eq!(balance.limit, Some(1000));
    assert_eq!(balance.from.to_string(), "2026-01-01T00:00:00.000Z");
    assert_eq!(balance.until.to_string(), "2026-02-01T00:00:00.000Z");
    let seen = Inventory::of(&shop.store).await.unwrap();
    assert!(seen.is_sound() && seen.unknown.is_empty(), "{seen}");
}

#[tokio::test(start_paused = true)]
async fn an_adjustment_gives_or_takes_room_and_is_audited() {
    let shop = Shop::of(Period::Day);
    let accounts = shop.accounts("acme");
    let day = account(Period::Day);
    accounts.adjust(&day, 701, "ann", "bought by phone").await.unwrap();
    assert!(spent(&shop.ask(call("1"), Does::Ok(None)).await));
    accounts.adjust(&day, -701, "bob", "it was returned").await.unwrap();
    shop.ask(call("1"), Does::Ok(None)).await.unwrap();
    accounts.adjust(&day, -1000, "bob", "a gift").await.unwrap();
    assert_eq!(shop.balance().await, (-700, 0));
    for order in 2..7 {
        shop.ask(call(&order.to_string()), Does::Ok(None)).await.unwrap();
    }
    assert!(spent(&shop.ask(call("7"), Does::Ok(None)).await));
    let trail = AuditLog::new(Arc::new(shop.rows.clone()), of("acme")).entries().await.unwrap();
    let told = trail.iter().filter(|entry| entry.action == AuditAction::BudgetAdjusted);
    let told: Vec<_> = told.map(|entry| (&*entry.subject, &*entry.note)).collect();
    assert_eq!(told.len(), 3);
    let until = "window up to 2026-01-02T00:00:00.000Z";
    assert_eq!(told[0].0, "ann");
    assert_eq!(
        told[0].1,
        format!("+701 micro_usd of * per day of the tenant, {until}: bought by phone")
    );
    let e = accounts.adjust(&day, i64::MIN, "bob", "all of it").await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ValidationError);
}

#[tokio::test(start_paused = true)]
async fn an_adjustment_whose_answer_is_lost_counts_once() {
    use openclaw_testkit::fault::Fault;
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        let shop = Shop::of(Period::Day);
        let store = Arc::clone(&shop.store);
        let accounts = shop.budgets.accounts(store, shop.env.clone(), of("acme"));
        shop.plan.nth("adjust", 1, fault);
        accounts.adjust(&account(Period::Day), 7, "ann", "a test").await.unwrap();
        accounts.adjust(&account(Period::Day), 7, "ann", "a test").await.unwrap();
        assert_eq!(shop.balance().await, (14, 0), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn windows_that_are_over_go_unless_something_is_reserved_in_them() {
    let shop = Shop::of(Period::Minute);
    let day = 86_400 * S;
    shop.ask(call("doubt"), Does::Lost).await.unwrap_err();
    for order in 0..70 {
        sleep(60 * S).await;
        for more in 0..4 {
            shop.ask(call(&format!("{order} {more}")), Does::Ok(None)).await.ok();
        }
    }
    assert_eq!(shop.balances().await.len(), 71);
    sleep(day).await;
    shop.layer.sweep(&of("acme")).await.unwrap();
    assert_eq!(shop.balances().await.len(), 71, "for two days");
    sleep(day + 60 * S).await;
    shop.ask(call("now"), Does::Ok(None)).await.unwrap();
    shop.layer.sweep(&of("acme")).await.unwrap();
    let left: Vec<_> =
        shop.balances().await.iter().map(|window| (window.spent, window.reserved)).collect();
    assert_eq!(left, [(0, 300), (300, 0)]);
    assert!(shop.rows_of("bn").await == 0, "and their notes");
}

#[tokio::test(start_paused = true)]
async fn tenants_share_nothing() {
    let shop = Shop::of(Period::Ever);
    for tenant in ["acme", "globex"] {
        for order in ["1", "2", "3"] {
            let asked = by(tenant, "mail", order, Effect::AtMostOnce);
            shop.ask(asked, Does::Ok(None)).await.unwrap();
        }
        assert!(spent(
            &shop.ask(by(tenant, "mail", "4", Effect::AtMostOnce), Does::Ok(None)).await
        ));
    }
    shop.accounts("acme").adjust(&account(Period::Ever), -900, "ann", "a test").await.unwrap();
    let other = shop.accounts("globex").balances().await.unwrap();
    assert_eq!((other.len(), other[0].spent, other[0].adjusted), (1, 900, 0));
}
