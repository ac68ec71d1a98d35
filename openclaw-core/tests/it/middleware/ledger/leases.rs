//! Leases: renewed, run out, taken over; and how long a record counts.

use openclaw_core::{
    Clock, Env, Timestamp,
    store::{Key, StateStoreExt as _},
};
use openclaw_testkit::env::{EPOCH, PausedClock, SeededRng};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_living_lease_is_respected_and_renewed() {
    let (rows, shop) = (store(), Shop::good().slow(100 * S, Duration::ZERO));
    let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
    let first = shop.ask(&here, call(Effect::AtLeastOnce, "1"));
    let others = async {
        for at in [1, 45, 45] {
            sleep(at * S).await;
            let outcome = shop.ask(&there, call(Effect::AtLeastOnce, "1")).await;
            assert_eq!(reason(&outcome), Some(Reason::InProgress));
            let after = outcome.unwrap_err().retry_after().unwrap();
            assert!(after > 15 * S && after <= 30 * S, "{after:?}");
        }
    };
    let (first, ()) = tokio::join!(first, others);
    first.unwrap();
    assert_eq!(shop.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_at_its_time() {
    let (rows, shop) = (store(), Shop::good().slow(100 * S, Duration::ZERO));
    let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
    drop(timeout(S, shop.ask(&here, call(Effect::AtLeastOnce, "1"))).await);
    sleep(28 * S).await;
    let e = shop.ask(&there, call(Effect::AtLeastOnce, "1")).await.unwrap_err();
    assert_eq!(e.retry_after(), Some(S));
    sleep(S).await;
    shop.ask(&there, call(Effect::AtLeastOnce, "1")).await.expect("then it may be had");
}

/// Done or not: it is looked up before the call is settled.
#[tokio::test(start_paused = true)]
async fn a_renewal_without_an_answer_costs_the_call_nothing() {
    for fault in [Fault::Fail, Fault::LoseAnswer] {
        let plan = Plan::default();
        let rows = MemoryStore::new(test_env(1).clock());
        let faulty: SharedStore = Arc::new(FaultStore::new(rows, plan.clone()));
        plan.next("renew", 1, fault);
        if fault == Fault::LoseAnswer {
            plan.when("renew", |plan| plan.fail_next("read", 1));
        }
        // A third of the lease is ten seconds.
        let shop = Shop::good().slow(15 * S, Duration::ZERO);
        let outcome = shop.ask(&on(&faulty, 1).build(), call(Effect::AtMostOnce, "1")).await;
        assert_eq!(plan.injected()[fault.name()], 1);
        outcome.expect("its lease is still its own");
        assert_eq!(shop.effects(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_end_was_not_recorded_keeps_its_lease() {
    let plan = Plan::default();
    let rows = MemoryStore::new(test_env(1).clock());
    let faulty: SharedStore = Arc::new(FaultStore::new(rows.clone(), plan.clone()));
    let (rows, shop): (SharedStore, _) = (Arc::new(rows), Shop::good());
    plan.next("settle", 1, Fault::Fail);
    shop.ask(&on(&faulty, 1).build(), call(Effect::AtMostOnce, "1")).await.unwrap_err();
    let there = on(&rows, 2).build();
    let early = shop.ask(&there, call(Effect::AtMostOnce, "1")).await;
    assert_eq!(reason(&early), Some(Reason::InProgress));
    sleep(30 * S).await;
    let late = shop.ask(&there, call(Effect::AtMostOnce, "1")).await;
    assert_eq!(reason(&late), Some(Reason::InDoubt));
}

#[tokio::test(start_paused = true)]
async fn the_trail_says_what_became_of_an_effect() {
    use AuditAction::{EffectClaimed, EffectDone, EffectFailed, EffectUnknown};
    type Answer = fn(u32) -> Result<()>;
    let cases: [(Answer, &[AuditAction]); 4] = [
        (|_| Ok(()), &[EffectClaimed, EffectDone]),
        (|_| failure(ErrorKind::NotFound, Happened::No), &[EffectClaimed, EffectFailed]),
        (|_| failure(ErrorKind::Timeout, Happened::Maybe), &[EffectClaimed, EffectUnknown]),
        (|_| failure(ErrorKind::Unavailable, Happened::No), &[EffectClaimed]),
    ];
    for (answer, expected) in cases {
        let rows = store();
        let outcome = Shop::new(answer).ask(&on(&rows, 1).build(), call(KEYED, "1")).await;
        let log = AuditLog::new(Arc::clone(&rows), TenantId::new("acme").unwrap());
        let entries = log.entries().await.unwrap();
        let actions: Vec<_> = entries.iter().map(|entry| entry.action.clone()).collect();
        assert_eq!(actions, expected, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_writer_loses_against_who_took_its_lease() {
    let inner = MemoryStore::new(test_env(1).clock());
    let plan = Plan::default();
    let slow: SharedStore = Arc::new(FaultStore::new(inner.clone(), plan.clone()));
    let rows: SharedStore = Arc::new(inner);
    let shop = Shop::good();
    // The first process stands still before its settling reaches the store.
    plan.every("settle", Fault::Delay(100 * S));
    plan.fail("renew");
    let (zombie, heir) = (on(&slow, 1).build(), on(&rows, 2).build());
    let late = shop.ask(&zombie, call(Effect::AtMostOnce, "1"));
    let taken = async {
        sleep(31 * S).await;
        shop.ask(&heir, call(Effect::AtMostOnce, "1")).await
    };
    let (late, taken) = tokio::join!(late, taken);
    assert_eq!(reason(&taken), Some(Reason::InDoubt), "parked, not sent again");
    let late = late.unwrap_err();
    assert_eq!((late.kind(), late.happened()), (ErrorKind::Conflict, Happened::Maybe));
    assert_eq!(shop.effects(), 1);
    let again = shop.ask(&on(&rows, 3).build(), call(Effect::AtMostOnce, "1")).await;
    assert_eq!(reason(&again), Some(Reason::InDoubt), "what the late one wrote was lost");
}

#[tokio::test(start_paused = true)]
async fn a_finished_record_counts_for_its_retention() {
    let (rows, shop) = (store(), Shop::good());
    let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
    shop.ask(&here, call(Effect::AtMostOnce, "1")).await.unwrap();
    sleep(24 * 3600 * S - S).await;
    shop.ask(&there, call(Effect::AtMostOnce, "1")).await.unwrap();
    assert_eq!(shop.effects(), 1);
    sleep(2 * S).await;
    for layer in [&here, &there] {
        shop.ask(layer, call(Effect::AtMostOnce, "1")).await.unwrap();
    }
    assert_eq!(shop.effects(), 2, "absent for one, and recorded again for both");
}

/// How many records and leases there are.
async fn kept(rows: &SharedStore) -> [usize; 2] {
    let tenant = TenantId::new("acme").unwrap();
    let mut counts = [0; 2];
    for (count, table) in counts.iter_mut().zip(["ik", "il"]) {
        *count = rows.scan_all(Key::of(&tenant, table).prefix()).await.unwrap().len();
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn a_record_that_counts_no_more_is_swept_and_a_parked_one_stays() {
    let (rows, shop) = (store(), Shop::good());
    let layer = on(&rows, 1).build();
    let tenant = TenantId::new("acme").unwrap();
    for n in 0..70 {
        shop.ask(&layer, call(Effect::AtMostOnce, &n.to_string())).await.unwrap();
    }
    let lost = Shop::new(|_| failure(ErrorKind::Unavailable, Happened::Maybe));
    lost.ask(&layer, call(Effect::AtMostOnce, "lost")).await.unwrap_err();
    sleep(24 * 3600 * S - S).await;
    assert_eq!(layer.sweep(&tenant).await.unwrap(), 0);
    assert_eq!(kept(&rows).await, [71, 71]);
    sleep(2 * S).await;
    shop.ask(&layer, call(Effect::AtMostOnce, "7")).await.unwrap();
    assert_eq!(layer.sweep(&tenant).await.unwrap(), 69, "one was claimed anew, one is parked");
    assert_eq!(kept(&rows).await, [2, 2]);
    shop.ask(&layer, call(Effect::AtMostOnce, "8")).await.unwrap();
    assert_eq!(shop.effects(), 72);
}

/// A clock that follows the paused time, and that can be set.
#[derive(Clone, Debug)]
struct Wrong(Arc<Mutex<PausedClock>>);

impl Wrong {
    fn by(ms: i64) -> Self {
        let wrong = Self(Arc::new(Mutex::new(PausedClock::new(EPOCH))));
        wrong.jump(ms);
        wrong
    }

    fn jump(&self, ms: i64) {
        let mut clock = self.0.lock().unwrap();
        *clock = PausedClock::new(Timestamp::from_millis(
            clock.now().as_millis().saturating_add_signed(ms),
        ));
    }
}

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now()
    }
}

/// A process whose clock is wrong.
fn skewed(store: &SharedStore, seed: u64, clock: &Wrong) -> Builder {
    let env = Env::new(clock.clone(), SeededRng::new(seed));
    LedgerLayer::builder(Arc::clone(store), env)
}

const WRONG: [i64; 4] = [-3_600_000, -31_000, 31_000, 3_600_000];

#[tokio::test(start_paused = true)]
async fn a_lease_is_as_long_whatever_the_clock_of_its_process_shows() {
    for wrong in WRONG {
        let (rows, shop) = (store(), Shop::good().slow(100 * S, Duration::ZERO));
        let (here, there) = (skewed(&rows, 1, &Wrong::by(wrong)).build(), on(&rows, 2).build());
        for order in ["1", "2"] {
            drop(timeout(S, shop.ask(&here, call(Effect::AtLeastOnce, order))).await);
            sleep(28 * S).await;
            let early = shop.ask(&there, call(Effect::AtLeastOnce, order)).await;
            assert_eq!(reason(&early), Some(Reason::InProgress), "{wrong}");
            assert_eq!(early.unwrap_err().retry_after(), Some(S), "{wrong}");
            sleep(S).await;
            shop.ask(&there, call(Effect::AtLeastOnce, order)).await.expect("then it may be had");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_call_keeps_its_lease_when_its_clock_is_wrong_or_jumps() {
    for wrong in WRONG {
        for jumps in [false, true] {
            let (rows, shop) = (store(), Shop::good().slow(100 * S, Duration::ZERO));
            let clock = Wrong::by(if jumps { 0 } else { wrong });
            let (here, there) = (skewed(&rows, 1, &clock).build(), on(&rows, 2).build());
            let others = async {
                for at in [1, 44, 45] {
                    sleep(at * S).await;
                    let outcome = shop.ask(&there, call(Effect::AtLeastOnce, "1")).await;
                    assert_eq!(reason(&outcome), Some(Reason::InProgress), "{wrong} {jumps}");
                    let after = outcome.unwrap_err().retry_after().unwrap();
                    assert!(after > 15 * S && after <= 30 * S, "{after:?} {wrong} {jumps}");
                    if jumps && at == 1 {
                        clock.jump(wrong);
                    }
                }
            };
            let (first, ()) = tokio::join!(shop.ask(&here, call(Effect::AtLeastOnce, "1")), others);
            first.unwrap();
            assert_eq!(shop.effects(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_decides_about_a_running_call_by_a_clock_that_is_ahead() {
    let (rows, shop) = (store(), Shop::good().slow(10 * S, Duration::ZERO));
    let (here, there) = (on(&rows, 1).build(), skewed(&rows, 2, &Wrong::by(3_600_000)).build());
    let asked = call(Effect::AtMostOnce, "1");
    let (tenant, key) = (asked.context().tenant().clone(), asked.key().unwrap().clone());
    let meanwhile = async {
        sleep(S).await;
        there.decide(&tenant, &key, None, "ada").await.unwrap_err()
    };
    let (first, e) = tokio::join!(shop.ask(&here, asked), meanwhile);
    first.unwrap();
    assert_eq!((e.kind(), e.message()), (ErrorKind::Conflict, "the effect is on its way"));
}

#[tokio::test(start_paused = true)]
async fn a_record_counts_for_its_retention_whatever_the_clocks_show() {
    for wrong in [-90_000_000, 90_000_000] {
        let (rows, shop) = (store(), Shop::good());
        let layer = skewed(&rows, 1, &Wrong::by(wrong)).build();
        shop.ask(&layer, call(Effect::AtMostOnce, "1")).await.unwrap();
        let tenant = TenantId::new("acme").unwrap();
        assert_eq!(layer.sweep(&tenant).await.unwrap(), 0, "{wrong}");
        let there = on(&rows, 2).build();
        sleep(24 * 3600 * S - S).await;
        shop.ask(&there, call(Effect::AtMostOnce, "1")).await.unwrap();
        assert_eq!(shop.effects(), 1, "{wrong}");
        sleep(2 * S).await;
        assert_eq!(layer.sweep(&tenant).await.unwrap(), 1, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyed_call_is_as_old_as_the_store_says_whatever_the_clocks_show() {
    for wrong in WRONG {
        for wrong_first in [true, false] {
            let (rows, shop) =
                (store(), Shop::new(|_| failure(ErrorKind::Timeout, Happened::Maybe)));
            let (right, skewed) =
                (on(&rows, 1).build(), skewed(&rows, 2, &Wrong::by(wrong)).build());
            let (first, heir) = if wrong_first { (skewed, right) } else { (right, skewed) };
            shop.ask(&first, call(KEYED, "1")).await.unwrap_err();
            sleep(3600 * S - S).await;
            shop.ask(&heir, call(KEYED, "1")).await.unwrap_err();
            assert_eq!(shop.effects(), 2, "the remote knows the key: {wrong} {wrong_first}");
            sleep(S).await;
            let late = shop.ask(&heir, call(KEYED, "1")).await;
            assert_eq!(reason(&late), Some(Reason::InDoubt), "{wrong} {wrong_first}");
            assert_eq!(shop.effects(), 2, "the remote has forgotten it: {wrong} {wrong_first}");
        }
    }
}
