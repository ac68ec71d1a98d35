//! Scopes: limits of each agent, session and run, all of them in one claim.

use openclaw_testkit::trace::Event;
use tokio::{task::JoinSet, time::sleep};

use super::*;

fn clerk() -> Payer {
    Payer::new().of_agent(agent("clerk"))
}

/// A shop where a call costs 300, with these limits.
fn shop(limits: impl IntoIterator<Item = BudgetLimit>) -> Shop {
    Shop::new(BudgetConfig::new([BudgetCost::new(USD, 300)], limits))
}

fn limit(per: Period, most: u64, scope: BudgetScope) -> BudgetLimit {
    BudgetLimit::new(USD, per, most).each(scope)
}

/// What an error says under these words.
fn told<'a, const N: usize>(e: &'a Error, words: [&str; N]) -> [Option<&'a str>; N] {
    words.map(|word| e.context().find(|(name, _)| *name == word).map(|(_, said)| said))
}

impl Shop {
    async fn buys(&self, payer: &Payer, order: &str) -> Result<SkillAnswer> {
        self.ask(paid_by(payer.clone(), call(order)), Does::Ok(None)).await
    }

    /// Whose accounts hold how much.
    async fn held(&self) -> Vec<(Holder, i64)> {
        let balances = self.balances().await;
        balances.into_iter().map(|b| (b.account.holder, b.spent + b.reserved)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn each_agent_session_and_run_has_room_of_its_own() {
    let run = |n: u128| Payer::new().in_run(MessageId::from_u128(n << 80));
    let chat = |name| Payer::new().in_session(session(name));
    for (scope, one, other) in [
        (BudgetScope::Agent, clerk(), Payer::new().of_agent(agent("night"))),
        (BudgetScope::Session, chat("web//c1"), chat("web//c2")),
        (BudgetScope::Run, run(1), run(2)),
    ] {
        let shop = shop([limit(Period::Day, 500, scope)]);
        for effect in [Effect::AtMostOnce, Effect::Pure] {
            let asked = |payer: &Payer, order: &str| {
                let order = format!("{order} {effect:?}");
                paid_by(payer.clone(), by("acme", "shop.refund", &order, effect))
            };
            if effect == Effect::Pure {
                sleep(86_400 * S).await;
            }
            shop.ask(asked(&one, "1"), Does::Ok(None)).await.unwrap();
            assert!(spent(&shop.ask(asked(&one, "2"), Does::Ok(None)).await), "{scope}");
            shop.ask(asked(&other, "3"), Does::Ok(None)).await.unwrap();
            assert!(spent(&shop.ask(asked(&other, "4"), Does::Ok(None)).await), "{scope}");
            for order in ["5", "6"] {
                shop.ask(asked(&Payer::new(), order), Does::Ok(None)).await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_reserved_in_all_its_scopes_by_one_commit_or_in_none() {
    let shop = shop([
        limit(Period::Day, 900, BudgetScope::Tenant),
        limit(Period::Day, 600, BudgetScope::Agent),
        limit(Period::Hour, 300, BudgetScope::Session),
        limit(Period::Ever, 300, BudgetScope::Run),
    ]);
    let chat = |name: &str| clerk().in_session(session(name));
    let run = MessageId::from_u128(7 << 80);
    shop.buys(&chat("c1").in_run(run), "1").await.unwrap();
    let sums = |event: &Event| match event {
        Event::Commit { label: "claim", rows } => {
            Some(rows.iter().filter(|(key, _)| key.windows(4).any(|k| k == b"\0\x02bg")).count())
        }
        _ => None,
    };
    assert_eq!(shop.trace.events().iter().filter_map(sums).collect::<Vec<_>>(), [4]);
    let all = shop.held().await;
    let holders = [
        Holder::Run(run),
        Holder::Session(session("c1")),
        Holder::Tenant,
        Holder::Agent(agent("clerk")),
    ];
    assert_eq!(all, holders.clone().map(|holder| (holder, 300)));
    let costs = shop.record(&call("1")).await.costs;
    assert_eq!(costs.len(), 4);

    // The session is spent, and the others have room.
    let e = shop.buys(&chat("c1"), "2").await.unwrap_err();
    let words = ["scope", "session", "renews"];
    assert_eq!(
        told(&e, words),
        [Some("session"), Some("c1"), Some("2026-01-01T01:00:00.000Z")],
        "{e:?}"
    );
    assert_eq!(e.retry_after(), Some(3600 * S));
    assert_eq!(shop.held().await, all, "nothing is held of what was refused");

    // The agent and the session are spent: the agent's renews last.
    shop.buys(&chat("c2"), "3").await.unwrap();
    let e = shop.buys(&chat("c2"), "4").await.unwrap_err();
    let day = "2026-01-02T00:00:00.000Z";
    assert_eq!(
        told(&e, ["scope", "agent", "renews"]),
        [Some("agent"), Some("clerk"), Some(day)],
        "{e:?}"
    );
    assert_eq!(e.retry_after(), Some(86_400 * S));

    // Another agent finds the tenant's room; then there is none.
    let night = Payer::new().of_agent(agent("night"));
    shop.buys(&night, "5").await.unwrap();
    let e = shop.buys(&night, "6").await.unwrap_err();
    assert_eq!(told(&e, ["scope", "agent", "renews"]), [Some("tenant"), None, Some(day)]);
    assert!(e.to_string().contains("micro_usd of * per day of the tenant"), "{e}");
}

#[tokio::test(start_paused = true)]
async fn what_a_run_has_spent_does_not_come_back() {
    let shop = shop([
        limit(Period::Day, 300, BudgetScope::Session),
        limit(Period::Ever, 300, BudgetScope::Run),
    ]);
    let payer = Payer::new().in_session(session("c1")).in_run(MessageId::from_u128(1 << 80));
    shop.buys(&payer, "1").await.unwrap();
    let e = shop.buys(&payer, "2").await.unwrap_err();
    assert_eq!((e.retry_after(), e.is_exhausted()), (None, true));
    let words = told(&e, ["scope", "run", "renews"]);
    assert_eq!(words, [Some("run"), Some("00000000010000000000000000"), None], "{e:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_s_own_limit_stands_in_place_of_the_one_for_each() {
    let each = |most| limit(Period::Ever, most, BudgetScope::Agent);
    let limits = [
        each(300),
        each(600).for_agent(agent("clerk")),
        // What a tenant says for each agent comes before what is said for one of all tenants.
        each(900).for_tenant(of("globex")),
        each(1200).for_agent(agent("night")).for_tenant(of("globex")),
    ];
    let shop = shop(limits);
    for (tenant, name, most) in [
        ("acme", "clerk", 2),
        ("acme", "night", 1),
        ("globex", "clerk", 3),
        ("globex", "night", 4),
        ("globex", "day", 3),
    ] {
        let asked = |n: usize| {
            let call = by(tenant, "mail", &format!("{name} {n}"), Effect::AtMostOnce);
            paid_by(Payer::new().of_agent(agent(name)), call)
        };
        for n in 0..most {
            shop.ask(asked(n), Does::Ok(None)).await.unwrap();
        }
        assert!(spent(&shop.ask(asked(most), Does::Ok(None)).await), "{tenant} {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_refusal_of_each_holder_is_in_the_audit_trail() {
    let shop = shop([limit(Period::Day, 0, BudgetScope::Agent)]);
    for name in ["clerk", "night", "clerk"] {
        let payer = Payer::new().of_agent(agent(name));
        assert!(spent(&shop.buys(&payer, "1").await));
    }
    let log = openclaw_core::records::AuditLog::new(Arc::new(shop.rows.clone()), of("acme"));
    let notes: Vec<_> = log.entries().await.unwrap().into_iter().map(|entry| entry.note).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(&*notes[0], "300 more are over 0 micro_usd of * per day of agent clerk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_two_agents_passes_neither_their_limits_nor_the_tenant_s() {
    for effect in [Effect::AtMostOnce, Effect::Pure] {
        let limits = [
            limit(Period::Ever, 4500, BudgetScope::Tenant),
            limit(Period::Ever, 3000, BudgetScope::Agent),
        ];
        let shop = Arc::new(shop(limits));
        let mut callers = JoinSet::new();
        for n in 0..64 {
            let shop = Arc::clone(&shop);
            let payer = Payer::new().of_agent(agent(["clerk", "night"][n % 2]));
            let call = by("acme", "mail", &n.to_string(), effect);
            callers.spawn(async move {
                let outcome = shop.ask(paid_by(payer, call), Does::Ok(None)).await;
                assert!(outcome.is_ok() || spent(&outcome), "{outcome:?}");
                outcome.is_ok()
            });
        }
        let made = callers.join_all().await.into_iter().filter(|ok| *ok).count();
        assert_eq!(made, 15, "{effect:?}");
        let held = shop.held().await;
        let of_agents: i64 = held.iter().skip(1).map(|(_, held)| held).sum();
        assert_eq!((held[0].1, of_agents), (4500, 4500), "{held:?}");
        assert!(held.iter().skip(1).all(|(_, held)| *held <= 3000), "{held:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_window_of_a_run_goes_when_the_run_is_over_and_nothing_is_reserved() {
    let shop = shop([limit(Period::Ever, 900, BudgetScope::Run)]);
    let run = |n: u128| {
        let began = u128::from(shop.env.now().as_millis());
        Payer::new().in_run(MessageId::from_u128((began << 80) + n))
    };
    let (done, doubt) = (run(1), run(2));
    shop.buys(&done, "1").await.unwrap();
    shop.ask(paid_by(doubt, call("2")), Does::Lost).await.unwrap_err();
    sleep(86_400 * S).await;
    shop.layer.sweep(&of("acme")).await.unwrap();
    assert_eq!(shop.held().await.len(), 2, "for two days");
    shop.buys(&run(3), "3").await.unwrap();
    sleep(86_400 * S).await;
    shop.layer.sweep(&of("acme")).await.unwrap();
    let left: Vec<_> = shop.balances().await.iter().map(|b| (b.spent, b.reserved)).collect();
    assert_eq!(left, [(0, 300), (300, 0)], "what is in doubt, and what is young");
}
