//! Effects that may have happened: the plan, their owner, a person.

use openclaw_core::{middleware::TimeoutLayer, records::EffectState, skill::BrokenOutput};
use tower::layer::layer_fn;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_doubt_ends_as_its_effect_says() {
    for effect in EFFECTS {
        let lost = |n| if n == 1 { failure(ErrorKind::Timeout, Happened::Maybe) } else { Ok(()) };
        let (rows, shop) = (store(), Shop::new(lost));
        let layer = on(&rows, 1).build();
        let first = shop.ask(&layer, call(effect, "1")).await;
        assert_eq!(first.unwrap_err().happened(), Happened::Maybe);
        let again = shop.ask(&on(&rows, 2).build(), call(effect, "1")).await;
        let (made, parked) = (shop.effects(), reason(&again) == Some(Reason::InDoubt));
        match effect {
            Effect::AtLeastOnce | Effect::Keyed { .. } => assert!(again.is_ok() && made == 2),
            _ => assert!(parked && made == 1, "{effect:?}: {again:?}, {made} effects"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyed_call_is_not_sent_behind_the_memory_of_its_remote() {
    let lost = |_| failure(ErrorKind::Timeout, Happened::Maybe);
    let (rows, shop) = (store(), Shop::new(lost));
    let layer = on(&rows, 1).build();
    shop.ask(&layer, call(KEYED, "1")).await.unwrap_err();
    sleep(3600 * S).await;
    let outcome = shop.ask(&layer, call(KEYED, "1")).await;
    assert_eq!((reason(&outcome), shop.effects()), (Some(Reason::InDoubt), 1));
}

#[derive(Debug)]
struct Owner(Reconciled);

#[async_trait]
impl Reconcile for Owner {
    async fn reconcile(&self, _intent: &Intent) -> Result<Reconciled> {
        Ok(self.0.clone())
    }
}

/// An owner with a bug.
#[derive(Debug)]
struct Panics;

#[async_trait]
impl Reconcile for Panics {
    async fn reconcile(&self, _intent: &Intent) -> Result<Reconciled> {
        panic!("a bug of the owner")
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_panics_leaves_the_doubt() {
    let lost = |_| failure(ErrorKind::Timeout, Happened::Maybe);
    let (rows, shop) = (store(), Shop::new(lost));
    let layer = on(&rows, 1).reconcile(Panics).build();
    for _ in 0..2 {
        let e = shop.ask(&layer, call(Effect::Reconcilable, "1")).await.unwrap_err();
        assert_eq!(e.happened(), Happened::Maybe);
    }
    let asked = call(Effect::Reconcilable, "1");
    let found = layer.record(asked.context().tenant(), asked.key().unwrap()).await.unwrap();
    assert_eq!((found.unwrap().state.name(), shop.effects()), ("unknown", 1));
}

/// An owner that never answers.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Reconcile for Silent {
    async fn reconcile(&self, _intent: &Intent) -> Result<Reconciled> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_a_doubt_is_asked_no_longer_than_the_caller_waits() {
    let lost = |_| failure(ErrorKind::Timeout, Happened::Maybe);
    let (rows, shop) = (store(), Shop::new(lost));
    let layer = on(&rows, 1).reconcile(Silent).build();
    shop.ask(&layer, call(Effect::Reconcilable, "1")).await.unwrap_err();
    for within in [None, Some(3 * S)] {
        let asked = match within {
            Some(within) => hurried("1", within),
            None => call(Effect::Reconcilable, "1"),
        };
        let began = Instant::now();
        let e = shop.ask(&layer, asked).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::Maybe));
        assert_eq!(began.elapsed(), within.unwrap_or(30 * S));
    }
    assert_eq!(shop.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_a_doubt_is_asked_before_anything_is_sent() {
    let answers = [
        (Reconciled::Happened(Arc::new(json!("r-1"))), 1),
        (Reconciled::DidNotHappen, 2),
        (Reconciled::NotYetKnown { retry_after: 7 * S }, 1),
        (Reconciled::CannotKnow, 1),
    ];
    for (said, effects) in answers {
        let lost = |n| if n == 1 { failure(ErrorKind::Timeout, Happened::Maybe) } else { Ok(()) };
        let (rows, shop) = (store(), Shop::new(lost));
        let layer = on(&rows, 1).reconcile(Owner(said.clone())).build();
        shop.ask(&layer, call(Effect::Reconcilable, "1")).await.unwrap_err();
        let again = shop.ask(&layer, call(Effect::Reconcilable, "1")).await;
        assert_eq!(shop.effects(), effects, "{said:?}");
        match said {
            Reconciled::Happened(answer) => assert_eq!(again.unwrap(), SkillAnswer::Done(answer)),
            Reconciled::DidNotHappen => assert_eq!(again.unwrap(), SkillAnswer::done(json!(2))),
            Reconciled::NotYetKnown { .. } => {
                assert_eq!(again.unwrap_err().retry_after(), Some(7 * S));
            }
            Reconciled::CannotKnow => assert_eq!(reason(&again), Some(Reason::InDoubt)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_decides_what_is_parked() {
    let lost = |n| if n == 1 { failure(ErrorKind::Timeout, Happened::Maybe) } else { Ok(()) };
    for happened in [true, false] {
        let (rows, shop) = (store(), Shop::new(lost));
        let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
        let asked = call(Effect::AtMostOnce, "1");
        let (tenant, key) = (asked.context().tenant().clone(), asked.key().unwrap().clone());
        shop.ask(&here, asked.clone()).await.unwrap_err();
        let parked = shop.ask(&here, asked.clone()).await;
        assert_eq!(reason(&parked), Some(Reason::InDoubt));
        let record = there.record(&tenant, &key).await.unwrap().unwrap();
        assert_eq!((record.state.name(), &*record.target), ("parked", "shop.refund"));

        let answer = happened.then(|| SkillAnswer::done(json!("seen")));
        there.decide(&tenant, &key, answer.clone(), "ada").await.unwrap();
        let (expected, made) = match answer {
            Some(answer) => (answer, 1),
            None => (SkillAnswer::done(json!(2)), 2),
        };
        for layer in [&here, &there] {
            assert_eq!(shop.ask(layer, asked.clone()).await.unwrap(), expected);
        }
        assert_eq!(shop.effects(), made);
        let trail = AuditLog::new(Arc::clone(&rows), tenant).entries().await.unwrap();
        let word = trail.iter().find(|entry| entry.action == AuditAction::EffectDecided).unwrap();
        let note = if happened { "it happened" } else { "it did not happen" };
        assert_eq!((&*word.subject, &*word.note), ("ada", note));
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_is_in_doubt_and_rests_is_decided() {
    let (rows, shop) = (store(), Shop::good().slow(10 * S, Duration::ZERO));
    let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
    let asked = call(Effect::AtMostOnce, "1");
    let (tenant, key) = (asked.context().tenant().clone(), asked.key().unwrap().clone());
    let kind = async |answer| there.decide(&tenant, &key, answer, "ada").await.unwrap_err().kind();
    assert_eq!(kind(None).await, ErrorKind::NotFound);
    assert!(there.record(&tenant, &key).await.unwrap().is_none());
    let first = shop.ask(&here, asked);
    let meanwhile = async {
        sleep(S).await;
        assert_eq!(kind(None).await, ErrorKind::Conflict, "it is on its way");
    };
    let (first, ()) = tokio::join!(first, meanwhile);
    first.unwrap();
    assert_eq!(kind(None).await, ErrorKind::Conflict, "it is done");
    sleep(25 * 3600 * S).await;
    assert_eq!(kind(None).await, ErrorKind::NotFound, "it counts no more");
    assert_eq!(shop.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_output_is_recorded_as_done_and_told_again() {
    let broken = Arc::new(json!({ "receipt": 7 }));
    let output = Arc::clone(&broken);
    let shop = Shop::new(move |_| {
        let e = Error::new(ErrorKind::ValidationError, "the receipt is no text");
        let e = e.with_source(BrokenOutput::new(Arc::clone(&output)));
        Err(e.with_happened(Happened::Yes))
    });
    let rows = store();
    let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
    let asked = call(Effect::AtLeastOnce, "1");
    for layer in [&here, &here, &there, &there] {
        let e = shop.ask(layer, asked.clone()).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Yes));
        assert!(e.message().ends_with("the receipt is no text"), "{e:?}");
    }
    assert_eq!(shop.tries.load(Ordering::SeqCst), 1);
    let (tenant, key) = (asked.context().tenant(), asked.key().unwrap());
    let record = there.record(tenant, key).await.unwrap().unwrap();
    assert_eq!(record.breach.as_deref(), Some("the receipt is no text"));
    let EffectState::Done { answer } = record.state else { panic!("{record:?}") };
    assert_eq!(answer, SkillAnswer::Done(broken));
}

#[tokio::test(start_paused = true)]
async fn what_a_stack_without_its_mark_has_done_is_in_doubt() {
    for lost in [false, true] {
        let answer =
            move |_| if lost { failure(ErrorKind::Timeout, Happened::Maybe) } else { Ok(()) };
        let (rows, shop) = (store(), Shop::new(answer));
        let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
        let unmarked =
            |layer: &Made| layer.layer(shop.leaf()).oneshot(call(Effect::AtMostOnce, "1"));
        let first = unmarked(&here).await;
        assert_eq!(first.is_ok(), !lost, "{first:?}");
        for layer in [&here, &there] {
            assert_eq!(reason(&unmarked(layer).await), Some(Reason::InDoubt), "{lost}");
        }
        assert_eq!(shop.effects(), 1, "{lost}");
    }
}

/// A layer may have met marks in another stack: an answer is one all the same.
#[tokio::test(start_paused = true)]
async fn an_answer_without_a_mark_is_in_doubt_beside_stacks_with_one() {
    let (rows, shop) = (store(), Shop::good());
    let layer = on(&rows, 1).build();
    shop.ask(&layer, call(Effect::AtMostOnce, "1")).await.unwrap();
    let unmarked = || layer.layer(shop.leaf()).oneshot(call(Effect::AtMostOnce, "2"));
    unmarked().await.unwrap();
    assert_eq!(reason(&unmarked().await), Some(Reason::InDoubt));
    assert_eq!(shop.effects(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_without_a_mark_may_be_tried_again() {
    let busy = |n| if n == 1 { failure(ErrorKind::Unavailable, Happened::No) } else { Ok(()) };
    let (rows, shop) = (store(), Shop::new(busy));
    let layer = on(&rows, 1).build();
    let unmarked = || layer.layer(shop.leaf()).oneshot(call(Effect::AtMostOnce, "1"));
    unmarked().await.unwrap_err();
    unmarked().await.unwrap();
    assert_eq!(shop.effects(), 1);
}

/// What ends it says `Maybe`: it can't know that the call never came to its mark.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_off_before_its_mark_may_be_tried_again() {
    let (rows, shop) = (store(), Shop::good());
    let held = Arc::new(AtomicU32::new(2));
    let waits = layer_fn(|inner| {
        let held = Arc::clone(&held);
        service_fn(move |call: Call<Payload>| {
            let (inner, n) = (Clone::clone(&inner), held.fetch_sub(1, Ordering::SeqCst));
            async move {
                if n == 1 {
                    std::future::pending::<()>().await;
                }
                ServiceExt::oneshot(inner, call).await
            }
        })
    });
    let service = ServiceBuilder::new()
        .layer(on(&rows, 1).build())
        .layer(TimeoutLayer::total("shop", S))
        .layer(waits)
        .layer(MarkLayer::new())
        .service(shop.leaf());
    service.clone().oneshot(call(Effect::AtMostOnce, "1")).await.unwrap();
    let e = service.clone().oneshot(call(Effect::AtMostOnce, "2")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::Maybe));
    held.store(9, Ordering::SeqCst);
    service.oneshot(call(Effect::AtMostOnce, "2")).await.expect("it was surely not sent");
    assert_eq!(shop.effects(), 2);
}
