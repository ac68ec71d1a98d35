//! Many callers at once: exactly the limit gets through, and nobody's commit loses in vain.

use tokio::{
    task::JoinSet,
    time::{Duration, sleep},
};

use super::*;

const CALLERS: u32 = 64;

/// A shop with room for so many calls.
fn room(most: u64) -> Arc<Shop> {
    let limits = [BudgetLimit::new(USD, Period::Ever, most)];
    Arc::new(Shop::new(BudgetConfig::new([BudgetCost::new(USD, 1)], limits)))
}

/// How many of the callers get through.
async fn crowd(shop: &Arc<Shop>, effect: Effect) -> usize {
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        let shop = Arc::clone(shop);
        callers.spawn(async move {
            let outcome =
                shop.ask(by("acme", "mail", &n.to_string(), effect), Does::Ok(None)).await;
            assert!(outcome.is_ok() || spent(&outcome), "{outcome:?}");
            outcome.is_ok()
        });
    }
    callers.join_all().await.into_iter().filter(|ok| *ok).count()
}

#[tokio::test(start_paused = true)]
async fn exactly_the_limit_gets_through() {
    for effect in [Effect::AtMostOnce, Effect::Pure] {
        for label in ["read", "claim", "charge", "settle"] {
            let shop = room(10);
            shop.plan.chance(
                label,
                openclaw_testkit::fault::Fault::Delay(Duration::from_millis(50)),
                0.7,
            );
            assert_eq!(crowd(&shop, effect).await, 10, "{effect:?}, slow at {label}");
            assert_eq!(shop.balance().await, (10, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_limit_gets_through_on_several_threads() {
    for effect in [Effect::AtMostOnce, Effect::Pure] {
        let shop = room(10);
        assert_eq!(crowd(&shop, effect).await, 10, "{effect:?}");
        assert_eq!(shop.balance().await, (10, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn room_that_comes_back_is_found() {
    let shop = room(1);
    shop.plan.delay("claim", Duration::from_millis(10));
    shop.plan.delay("giveback", Duration::from_millis(10));
    let mut made = 0;
    for n in 0..20 {
        let fails =
            shop.ask(by("acme", "mail", &format!("{n}-"), Effect::AtMostOnce), Does::NotNow);
        let good = async {
            sleep(Duration::from_millis(50)).await;
            shop.ask(by("acme", "mail", &format!("{n}+"), Effect::AtMostOnce), Does::Ok(None)).await
        };
        let (_, good) = tokio::join!(fails, good);
        made += u32::from(good.is_ok());
    }
    assert_eq!((made, shop.balance().await), (1, (1, 0)));
}

#[tokio::test(start_paused = true)]
async fn claims_within_their_budgets_never_lose() {
    let shop = room(u64::from(CALLERS));
    shop.plan.delay("claim", Duration::from_millis(5));
    shop.plan.delay("settle", Duration::from_millis(5));
    assert_eq!(crowd(&shop, Effect::AtMostOnce).await, CALLERS as usize);
    assert_eq!(shop.lost(), [""; 0], "all of one tenant, all in one account");
}
