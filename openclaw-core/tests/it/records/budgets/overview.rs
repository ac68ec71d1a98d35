//! The overview: every limit, with what is reserved, spent and left of it.

use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn every_limit_says_what_is_reserved_spent_and_left_of_whom() {
    let day = |scope| BudgetLimit::new(USD, Period::Day, 1000).each(scope);
    let limits = [
        BudgetLimit::new(USD, Period::Hour, 5000),
        BudgetLimit::new(USD, Period::Month, 10_000).for_tenant(of("globex")),
        BudgetLimit::new(USD, Period::Ever, 700).of("mail").for_tenant(of("acme")),
        day(BudgetScope::Session),
        day(BudgetScope::Agent),
        day(BudgetScope::Agent).for_agent(agent("night")),
    ];
    let shop = Shop::new(BudgetConfig::new([BudgetCost::new(USD, 300)], limits));
    let clerk = |name: &str| Payer::new().of_agent(agent("clerk")).in_session(session(name));
    shop.ask(paid_by(clerk("c0"), call("0")), Does::Ok(None)).await.unwrap();
    sleep(3600 * S).await;
    shop.ask(paid_by(clerk("c1"), call("1")), Does::Ok(Some(200))).await.unwrap();
    shop.ask(paid_by(clerk("c2"), call("2")), Does::Lost).await.unwrap_err();
    let overview = shop.accounts("acme").overview().await.unwrap();
    let lines: Vec<_> = overview
        .iter()
        .map(|of| {
            let accounts = of.accounts.iter();
            let left = accounts.map(|b| (b.account.holder.to_string(), b.left.unwrap()));
            let limit = (of.limit.scope, of.limit.per, of.limit.most);
            (limit, of.spent, of.reserved, left.collect::<Vec<_>>())
        })
        .collect();
    let of = |name: &str, left| (name.to_owned(), left);
    let (tenant, agents, sessions) =
        (BudgetScope::Tenant, BudgetScope::Agent, BudgetScope::Session);
    assert_eq!(
        lines,
        [
            ((tenant, Period::Ever, 700), 0, 0, vec![of("the tenant", 700)]),
            ((agents, Period::Day, 1000), 0, 0, vec![of("agent night", 1000)]),
            ((tenant, Period::Hour, 5000), 200, 300, vec![of("the tenant", 4500)]),
            (
                (sessions, Period::Day, 1000),
                500,
                300,
                vec![of("session c0", 700), of("session c2", 700), of("session c1", 800)]
            ),
            ((agents, Period::Day, 1000), 500, 300, vec![of("agent clerk", 200)]),
        ]
    );
    let hours: Vec<_> = overview.iter().map(|of| of.until.to_string()).collect();
    assert_eq!(hours[2], "2026-01-01T02:00:00.000Z");
    let json = serde_json::to_value(&overview).unwrap();
    assert_eq!(json[3]["accounts"][0]["account"]["holder"], json!({ "session": "c0" }));
    assert_eq!(json[2]["accounts"][0]["left"], json!(4500));
}

#[tokio::test(start_paused = true)]
async fn the_fullest_accounts_are_listed_and_the_others_counted() {
    let limits = [BudgetLimit::new(USD, Period::Day, 1000).each(BudgetScope::Session)];
    let shop = Shop::new(BudgetConfig::new([BudgetCost::new(USD, 1)], limits));
    for n in 0..104_u64 {
        let payer = Payer::new().in_session(session(&format!("c{n}")));
        shop.ask(paid_by(payer, call(&n.to_string())), Does::Ok(Some(n))).await.unwrap();
    }
    let overview = shop.accounts("acme").overview().await.unwrap();
    let [of] = &overview[..] else { panic!("one limit") };
    assert_eq!((of.accounts.len(), of.more, of.spent), (100, 4, (0..104).sum()));
    assert_eq!(of.accounts[0].account.holder, Holder::Session(session("c103")));
    assert_eq!(of.accounts[99].left, Some(996));
}

#[tokio::test(start_paused = true)]
async fn an_operator_adjusts_the_account_of_a_session() {
    let limits = [BudgetLimit::new(USD, Period::Day, 500).each(BudgetScope::Session)];
    let shop = Shop::new(BudgetConfig::new([BudgetCost::new(USD, 300)], limits));
    let chat = |order| paid_by(Payer::new().in_session(session("c1")), call(order));
    shop.ask(chat("1"), Does::Ok(None)).await.unwrap();
    assert!(spent(&shop.ask(chat("2"), Does::Ok(None)).await));
    let account = account(Period::Day).held_by(Holder::Session(session("c1")));
    shop.accounts("acme").adjust(&account, -100, "ann", "a gift").await.unwrap();
    shop.ask(chat("2"), Does::Ok(None)).await.unwrap();
    let overview = shop.accounts("acme").overview().await.unwrap();
    let balance = &overview[0].accounts[0];
    assert_eq!((balance.spent, balance.adjusted, balance.left), (500, -100, Some(0)));
}
