//! What becomes of a reservation: settled, given back, kept as long as nobody knows.

use openclaw_core::{
    records::{AuditAction, AuditLog},
    store::{StateStore as _, StateStoreExt as _},
};
use openclaw_testkit::fault::Fault;
use tokio::time::{sleep, timeout};

use super::*;

#[tokio::test(start_paused = true)]
async fn what_a_call_says_it_has_spent_counts_and_else_its_estimate() {
    let shop = Shop::of(Period::Day);
    shop.ask(call("1"), Does::Ok(None)).await.unwrap();
    assert_eq!(shop.balance().await, (300, 0));
    shop.ask(call("2"), Does::Ok(Some(120))).await.unwrap();
    assert_eq!(shop.balance().await, (420, 0));
    shop.ask(call("3"), Does::Ok(Some(0))).await.unwrap();
    assert_eq!(shop.balance().await, (420, 0));
    let costs = shop.record(&call("2")).await.costs;
    let [share] = &costs[..] else { panic!("{costs:?}") };
    assert_eq!(
        (share.account.clone(), share.reserved, share.spent),
        (account(Period::Day), 0, 120)
    );
}

#[tokio::test(start_paused = true)]
async fn the_commit_of_the_claim_reserves_and_that_of_the_end_settles() {
    let shop = Shop::of(Period::Day);
    shop.ask(call("1"), Does::Ok(None)).await.unwrap();
    let budgets = |(key, _): &(Vec<u8>, _)| key.windows(4).any(|part| part == b"\0\x02bg");
    let touches = |event: &Event| match event {
        Event::Commit { label, rows } => rows.iter().any(budgets).then_some(*label),
        _ => None,
    };
    let commits: Vec<_> = shop.trace.events().iter().filter_map(touches).collect();
    assert_eq!(commits, ["claim", "settle"]);
    assert_eq!(shop.trace.commits(), ["claim", "dispatch", "settle"], "none of its own");
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_nothing_is_claimed_and_the_next_window_has_room() {
    let shop = Shop::of(Period::Hour);
    for order in ["1", "2", "3"] {
        shop.ask(call(order), Does::Ok(None)).await.unwrap();
    }
    sleep(600 * S).await;
    let refused = shop.ask(call("4"), Does::Ok(None)).await;
    assert!(spent(&refused), "{refused:?}");
    let e = refused.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::RateLimited, Happened::No));
    assert_eq!(e.retry_after(), Some(3000 * S), "to the end of the window");
    assert!(!e.is_exhausted());
    let found = shop.layer.record(&of("acme"), call("4").key().unwrap()).await.unwrap();
    assert!(found.is_none(), "no attempt is spent");
    assert_eq!(shop.balance().await, (900, 0));
    sleep(e.retry_after().unwrap()).await;
    shop.ask(call("4"), Does::Ok(None)).await.unwrap();
    assert_eq!(shop.balance().await, (300, 0));
}

#[tokio::test(start_paused = true)]
async fn waiting_does_not_help_against_an_absolute_limit() {
    let shop = Shop::of(Period::Ever);
    for order in ["1", "2", "3"] {
        shop.ask(call(order), Does::Ok(None)).await.unwrap();
    }
    let e = shop.ask(call("4"), Does::Ok(None)).await.unwrap_err();
    assert_eq!((e.retry_after(), e.is_exhausted()), (None, true), "a retry would be for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_fits_is_not_told_to_wait() {
    let limits = [BudgetLimit::new(USD, Period::Minute, 299)];
    let shop = Shop::new(BudgetConfig::new([BudgetCost::new(USD, 300)], limits));
    let e = shop.ask(call("1"), Does::Ok(None)).await.unwrap_err();
    assert_eq!((e.retry_after(), e.is_exhausted()), (None, true));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_answered_again_costs_nothing_even_when_all_is_spent() {
    let mut shop = Shop::of(Period::Ever);
    for order in ["1", "2", "3"] {
        shop.ask(call(order), Does::Ok(None)).await.unwrap();
    }
    assert!(spent(&shop.ask(call("4"), Does::Ok(None)).await));
    for _ in 0..3 {
        shop.ask(call("1"), Does::Ok(None)).await.unwrap();
        shop.restart();
    }
    assert_eq!(shop.balance().await, (900, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sure_no_gives_back_what_was_reserved() {
    for does in [Does::NotNow, Does::Never] {
        let shop = Shop::of(Period::Ever);
        for order in 0..9 {
            shop.ask(call(&order.to_string()), does).await.unwrap_err();
        }
        assert_eq!(shop.balance().await, (0, 0), "{does:?}");
        assert!(!shop.record(&call("1")).await.costs.iter().any(|share| share.reserved > 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_is_reserved_again_before_another_try() {
    let shop = Shop::of(Period::Ever);
    shop.ask(call("1"), Does::NotNow).await.unwrap_err();
    for order in ["2", "3", "4"] {
        shop.ask(call(order), Does::Ok(None)).await.unwrap();
    }
    assert!(spent(&shop.ask(call("1"), Does::Ok(None)).await), "others have spent it since");
    shop.accounts("acme").adjust(&account(Period::Ever), -300, "ann", "a top-up").await.unwrap();
    shop.ask(call("1"), Does::Ok(Some(200))).await.unwrap();
    assert_eq!(shop.balance().await, (800, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_call_has_spent_in_vain_counts_too() {
    let shop = Shop::of(Period::Ever);
    let leaf = service_fn(|call: Call<Payload>| async move {
        call.spent(USD, 70);
        call.spent(USD, 7);
        call.spent("tokens", 5);
        Does::NotNow.run(&call)
    });
    let service = shop.layer.layer(MarkLayer::new().layer(leaf));
    service.oneshot(call("1")).await.unwrap_err();
    assert_eq!(shop.balance().await, (77, 0));
    shop.ask(call("1"), Does::Ok(None)).await.unwrap();
    assert_eq!(shop.balance().await, (377, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_doubt_stays_reserved_until_a_person_decides() {
    for happened in [true, false] {
        let mut shop = Shop::of(Period::Ever);
        shop.ask(call("1"), Does::Lost).await.unwrap_err();
        assert_eq!(shop.balance().await, (0, 300));
        shop.restart();
        sleep(5 * S).await;
        shop.ask(call("1"), Does::Ok(None)).await.unwrap_err();
        assert_eq!(shop.record(&call("1")).await.state.name(), "parked");
        assert_eq!(shop.balance().await, (0, 300));
        let answer = happened.then(|| SkillAnswer::done(json!("seen")));
        let (tenant, asked) = (of("acme"), call("1"));
        shop.layer.decide(&tenant, asked.key().unwrap(), answer, "ada").await.unwrap();
        assert_eq!(shop.balance().await, if happened { (300, 0) } else { (0, 0) });
        shop.ask(call("1"), Does::Ok(None)).await.unwrap();
        assert_eq!(shop.balance().await, (300, 0), "once, however it went");
    }
}

#[tokio::test(start_paused = true)]
async fn a_doubt_that_is_sent_again_is_paid_once() {
    let keyed = Effect::Keyed { retention: 3600 * S };
    let shop = Shop::of(Period::Ever);
    let asked = || by("acme", "shop.refund", "1", keyed);
    shop.ask(asked(), Does::Lost).await.unwrap_err();
    shop.ask(asked(), Does::NotNow).await.unwrap_err();
    assert_eq!(shop.balance().await, (0, 300), "an early doubt outweighs a later no");
    shop.ask(asked(), Does::Ok(Some(250))).await.unwrap();
    assert_eq!(shop.balance().await, (250, 0));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_commit_leaks_nothing() {
    for label in ["claim", "dispatch", "settle"] {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let mut shop = Shop::of(Period::Ever);
            shop.plan.nth(label, 1, fault);
            let asked = by("acme", "shop.refund", "1", Effect::AtLeastOnce);
            timeout(S, shop.ask(asked.clone(), Does::Ok(None))).await.unwrap_err();
            let held = if (label, fault) == ("claim", Fault::CrashBefore) { 0 } else { 300 };
            let (spent, reserved) = shop.balance().await;
            assert_eq!(spent + reserved, held, "{label} {fault:?}");
            // Another process, on what is there.
            shop.store = Arc::new(shop.rows.clone());
            shop.restart();
            sleep(5 * S).await;
            shop.ask(asked, Does::Ok(Some(100))).await.unwrap();
            let settled = if (label, fault) == ("settle", Fault::CrashAfter) { 300 } else { 100 };
            assert_eq!(shop.balance().await, (settled, 0), "{label} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_counts_once() {
    for label in ["claim", "dispatch", "settle"] {
        for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
            let shop = Shop::of(Period::Ever);
            shop.plan.nth(label, 1, fault);
            shop.ask(call("1"), Does::Ok(None)).await.unwrap();
            assert_eq!(shop.balance().await, (300, 0), "{label} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_outlives_its_window_is_booked_in_the_next() {
    let mut shop = Shop::of(Period::Minute);
    shop.plan.nth("claim", 1, Fault::CrashAfter);
    timeout(S, shop.ask(call("1"), Does::Ok(None))).await.unwrap_err();
    shop.store = Arc::new(shop.rows.clone());
    shop.restart();
    sleep(120 * S).await;
    shop.ask(call("1"), Does::Ok(None)).await.unwrap();
    let windows: Vec<_> =
        shop.balances().await.iter().map(|window| (window.spent, window.reserved)).collect();
    assert_eq!(windows, [(0, 0), (300, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_dropped_before_it_was_sent_gives_back_at_the_sweep() {
    let shop = Shop::of(Period::Ever);
    let stuck = service_fn(|_: Call<Payload>| std::future::pending::<Result<SkillAnswer>>());
    timeout(S / 2, shop.layer.layer(stuck).oneshot(call("1"))).await.unwrap_err();
    shop.layer.sweep(&of("acme")).await.unwrap();
    assert_eq!(shop.balance().await, (0, 300), "its lease still runs");
    sleep(5 * S).await;
    shop.layer.sweep(&of("acme")).await.unwrap();
    assert_eq!(shop.balance().await, (0, 0));
    shop.ask(call("1"), Does::Ok(None)).await.unwrap();
    assert_eq!(shop.balance().await, (300, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_record_is_charged_before_it_runs() {
    let shop = Shop::of(Period::Ever);
    let pure = |order| by("acme", "shop.search", order, Effect::Pure);
    shop.ask(pure("1"), Does::Ok(None)).await.unwrap();
    shop.ask(pure("1"), Does::Ok(Some(100))).await.unwrap();
    shop.ask(pure("1"), Does::Lost).await.unwrap_err();
    assert_eq!(shop.balance().await, (700, 0), "each call, and a lost one too");
    shop.ask(pure("1"), Does::Ok(None)).await.unwrap();
    assert!(spent(&shop.ask(pure("1"), Does::Ok(None)).await));
    shop.plan.nth("charge", 1, Fault::LoseAnswer);
    shop.accounts("acme").adjust(&account(Period::Ever), -600, "ann", "a top-up").await.unwrap();
    let e = shop.ask(pure("1"), Does::Ok(None)).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No));
    assert_eq!(shop.balance().await, (700, 0), "what nobody can tell is spent");
}

#[tokio::test(start_paused = true)]
async fn the_first_refusal_in_a_window_is_in_the_audit_trail() {
    let shop = Shop::of(Period::Hour);
    for _ in 0..2 {
        for order in 0..9 {
            shop.ask(call(&format!("{:?} {order}", shop.env.now())), Does::Ok(None)).await.ok();
        }
        sleep(3600 * S).await;
    }
    let trail = AuditLog::new(Arc::new(shop.rows.clone()), of("acme")).entries().await.unwrap();
    let told: Vec<_> =
        trail.iter().filter(|entry| entry.action == AuditAction::BudgetSpent).collect();
    assert_eq!(told.len(), 2, "one in each window");
    assert!(told[0].subject.starts_with("shop.refund/"), "{:?}", told[0]);
    assert_eq!(
        &*told[0].note,
        "300 more are over 1000 micro_usd of * per hour of the tenant; renews 2026-01-01T01:00:00.000Z"
    );
}

#[tokio::test(start_paused = true)]
async fn a_damaged_sum_is_an_error_and_no_refusal() {
    let shop = Shop::of(Period::Ever);
    shop.ask(call("1"), Does::Ok(None)).await.unwrap();
    let prefix = openclaw_core::store::Key::of(&of("acme"), "bg").prefix();
    for (key, _) in shop.rows.scan_all(prefix).await.unwrap() {
        let op = openclaw_core::store::Op::put(key, "no number");
        shop.rows.commit(openclaw_core::store::Txn::new("damage").op(op)).await.unwrap();
    }
    let e = shop.ask(call("2"), Does::Ok(None)).await.unwrap_err();
    assert!(!e.is_exhausted() && e.kind() != ErrorKind::RateLimited, "{e}");
    let e = shop.accounts("acme").balances().await.unwrap_err();
    assert_eq!((e.kind(), e.message()), (ErrorKind::ServerError, "a row of budgets is damaged"));
}
