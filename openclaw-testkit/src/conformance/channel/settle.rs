//! Settling: each delivery gets one verdict, and the channel keeps it.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Line,
    line::{accepted, dead, retry, settle, text, texts},
};

/// An accepted message never comes again, not over a new connection either.
pub async fn an_accepted_message_never_comes_again(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "once").await;
    line.accept(&mut *source, 1).await;
    line.nothing_comes(&mut *source).await;
    source.close().await.expect("a close");
    line.nothing_comes(&mut *line.source().await).await;
}

/// A message that was refused for good never comes again, and blocks nobody.
pub async fn a_dead_letter_never_comes_again(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "poison").await;
    let taken = line.take(&mut *source, 1).await;
    for delivery in taken {
        settle(delivery, dead()).await;
    }
    line.say("c1", "next").await;
    let taken = line.take(&mut *source, 1).await;
    assert_eq!(texts(&taken), ["next"]);
    for delivery in taken {
        settle(delivery, accepted()).await;
    }
    source.close().await.expect("a close");
    line.nothing_comes(&mut *line.source().await).await;
}

/// What was handed out before a close can still be settled.
pub async fn a_delivery_can_be_settled_after_the_close(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "late").await;
    let taken = line.take(&mut *source, 1).await;
    source.close().await.expect("a close");
    for delivery in taken {
        settle(delivery, accepted()).await;
    }
    line.nothing_comes(&mut *line.source().await).await;
}

/// A delivery that is dropped unsettled comes again, until somebody settles it.
pub async fn a_dropped_delivery_comes_again(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "again").await;
    for _ in 0..3 {
        let taken = line.take(&mut *source, 1).await;
        assert_eq!(texts(&taken), ["again"]);
        drop(taken);
    }
    line.accept(&mut *source, 1).await;
    line.nothing_comes(&mut *source).await;
}

/// A retried delivery comes again, and not before its time.
pub async fn a_retried_delivery_comes_again_but_not_early(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "later").await;
    for wait in [Duration::ZERO, Duration::from_millis(300)] {
        let mut taken = line.take(&mut *source, 1).await;
        let delivery = taken.remove(0);
        assert_eq!(text(&delivery), "later");
        let began = Instant::now();
        settle(delivery, retry(wait)).await;
        let again = line.take(&mut *source, 1).await;
        assert!(began.elapsed() >= wait, "it came after {:?} of {wait:?}", began.elapsed());
        drop(again);
    }
    line.accept(&mut *source, 1).await;
    line.nothing_comes(&mut *source).await;
}

/// A verdict is about its own delivery: accepting one says nothing about those before it.
pub async fn each_delivery_has_its_own_verdict(line: &Line) {
    let mut source = line.source().await;
    for place in ["c1", "c2", "c3"] {
        line.say(place, place).await;
    }
    let taken = line.take(&mut *source, 3).await;
    let mut dropped = Vec::new();
    for delivery in taken {
        match text(&delivery).as_str() {
            "c2" => settle(delivery, accepted()).await,
            _ => dropped.push(delivery),
        }
    }
    drop(dropped);
    let again = line.take(&mut *source, 2).await;
    let mut came = texts(&again);
    came.sort();
    assert_eq!(came, ["c1", "c3"], "what comes again");
    for delivery in again {
        settle(delivery, accepted()).await;
    }
    line.nothing_comes(&mut *source).await;
}

/// What was out when the source closed comes again over the next one.
pub async fn what_was_out_at_the_close_comes_again(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "held").await;
    let held = line.take(&mut *source, 1).await;
    source.close().await.expect("a close");
    drop(held);
    let mut source = line.source().await;
    let again = line.take(&mut *source, 1).await;
    assert_eq!(texts(&again), ["held"]);
    for delivery in again {
        settle(delivery, accepted()).await;
    }
    line.nothing_comes(&mut *source).await;
}

/// A message that comes again has the id it had, so that it can be known again.
pub async fn a_redelivered_message_keeps_its_id(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "known").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let taken = line.take(&mut *source, 1).await;
        ids.extend(taken.iter().map(|delivery| delivery.envelope().id.clone()));
        drop(taken);
    }
    let known = ids.iter().all(|id| id.is_some() && *id == ids[0]);
    assert!(known, "one message, three deliveries, the ids {ids:?}");
}
