//! Receiving: everything once, in order, at the pace of whoever pulls.

use std::{
    collections::BTreeSet, future::poll_fn, num::NonZeroUsize, pin::Pin, task::Poll, time::Duration,
};

use openclaw_core::{
    Result,
    channel::{Delivery, Ordering},
};
use tokio::task::yield_now;

use super::{
    Line,
    line::{MANY, accepted, settle, text, texts},
};

/// A delivery holds what was said, where it was said, on this channel.
pub async fn receive_yields_what_was_said(line: &Line) {
    let mut source = line.source().await;
    for (place, said) in [("c1", "hello"), ("c2", "ünï 😀 e\u{301}"), ("c1", "a  b")] {
        line.say(place, said).await;
        let mut taken = line.take(&mut *source, 1).await;
        let delivery = taken.remove(0);
        assert_eq!(text(&delivery), said);
        let envelope = delivery.envelope();
        assert_eq!(envelope.conversation, line.place(place), "where it was said");
        assert_eq!(&envelope.conversation.channel, line.channel().id());
        settle(delivery, accepted()).await;
    }
    line.nothing_comes(&mut *source).await;
}

/// Messages of a conversation come in the order in which they were said, each once.
pub async fn a_conversation_keeps_its_order(line: &Line) {
    const EACH: usize = 20;
    let places = ["c1", "c2", "c3"];
    let mut source = line.source().await;
    for n in 0..EACH {
        for place in places {
            line.say(place, &format!("{place} {n}")).await;
        }
    }
    let mut came = Vec::new();
    while came.len() < places.len() * EACH {
        let deliveries = line.next(&mut *source, MANY).await.expect("messages");
        assert!(!deliveries.is_empty(), "the source ended behind {came:?}");
        for delivery in deliveries {
            came.push(text(&delivery));
            settle(delivery, accepted()).await;
        }
    }
    if matches!(line.can().ordering, Ordering::None) {
        came.sort_by_key(|said| said.split(' ').next_back().and_then(|n| n.parse::<usize>().ok()));
    }
    for place in places {
        let expected: Vec<String> = (0..EACH).map(|n| format!("{place} {n}")).collect();
        let own: Vec<_> = came.iter().filter(|said| said.starts_with(place)).cloned().collect();
        assert_eq!(own, expected, "conversation {place}");
    }
    line.nothing_comes(&mut *source).await;
}

/// One call gives at least one message and at most `max`.
pub async fn next_gives_one_to_max(line: &Line) {
    const SAID: usize = 12;
    let mut source = line.source().await;
    for n in 0..SAID {
        line.say("c1", &n.to_string()).await;
    }
    let mut came = 0;
    for max in [1, 2, 3].into_iter().cycle() {
        let max = NonZeroUsize::new(max).expect("more than zero");
        let deliveries = line.next(&mut *source, max).await.expect("messages");
        let got = deliveries.len();
        assert!((1..=max.get()).contains(&got), "{got} messages, at most {max} were asked for");
        for delivery in deliveries {
            settle(delivery, accepted()).await;
        }
        came += got;
        if came >= SAID {
            break;
        }
    }
    assert_eq!(came, SAID);
}

/// `next` waits for a message: an empty answer would mean the end.
pub async fn next_waits_until_there_is_something(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "first").await;
    line.accept(&mut *source, 1).await;
    let wait = tokio::time::timeout(Duration::from_millis(200), source.next(MANY)).await;
    assert!(wait.is_err(), "it did not wait: {wait:?}");
    let (came, ()) = tokio::join!(line.next(&mut *source, MANY), line.say("c1", "second"));
    assert_eq!(texts(&came.expect("a message")), ["second"]);
}

/// A call of `next` that is dropped, whenever that is, loses no message and repeats none.
pub async fn a_dropped_next_loses_nothing(line: &Line) {
    const SAID: usize = 40;
    let mut source = line.source().await;
    let mut came = Vec::new();
    for n in 0..SAID {
        let mut next = source.next(MANY);
        let mut got = polled(&mut next, n % 3).await;
        line.say("c1", &n.to_string()).await;
        if got.is_none() {
            got = polled(&mut next, n % 2).await;
        }
        drop(next);
        for delivery in got.unwrap_or_default() {
            came.push(text(&delivery));
            settle(delivery, accepted()).await;
        }
    }
    for delivery in line.take(&mut *source, SAID - came.len()).await {
        came.push(text(&delivery));
        settle(delivery, accepted()).await;
    }
    let expected: Vec<String> = (0..SAID).map(|n| n.to_string()).collect();
    assert_eq!(came, expected);
    line.nothing_comes(&mut *source).await;
}

type Next<'a> = Pin<Box<dyn Future<Output = Result<Vec<Delivery>>> + Send + 'a>>;

/// Polls so many times; `None` when it is not ready then.
async fn polled(next: &mut Next<'_>, times: usize) -> Option<Vec<Delivery>> {
    for _ in 0..times {
        let ready = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
        if let Poll::Ready(deliveries) = ready {
            return Some(deliveries.expect("messages"));
        }
        yield_now().await;
    }
    None
}

/// Where the platform gives ids, every message has one of its own.
pub async fn every_message_has_its_own_id(line: &Line) {
    let mut source = line.source().await;
    for _ in 0..10 {
        line.say("c1", "the same words").await;
    }
    let mut ids = BTreeSet::new();
    for delivery in line.take(&mut *source, 10).await {
        if let Some(id) = &delivery.envelope().id {
            assert!(ids.insert(id.to_string()), "two messages have the id {id}");
        }
        settle(delivery, accepted()).await;
    }
    assert!(ids.is_empty() || ids.len() == 10, "some messages have ids, and some have none");
}

/// After a close `receive` gives a new source, which receives.
pub async fn after_a_close_receive_gives_a_new_source(line: &Line) {
    for round in 0..3 {
        let mut source = line.source().await;
        line.say("c1", &format!("round {round}")).await;
        let mut taken = line.take(&mut *source, 1).await;
        let delivery = taken.remove(0);
        assert_eq!(text(&delivery), format!("round {round}"));
        settle(delivery, accepted()).await;
        source.close().await.expect("a close");
    }
}

/// After the far end hung up, `next` says so, and `receive` gives a new source.
pub async fn after_a_hang_up_receive_gives_a_new_source(line: &Line) {
    let mut source = line.source().await;
    line.say("c1", "settled").await;
    line.accept(&mut *source, 1).await;
    line.say("c1", "out").await;
    let out = line.take(&mut *source, 1).await;
    line.hang_up().await;
    if let Ok(came) = line.next(&mut *source, MANY).await {
        assert!(came.is_empty(), "a connection that is gone gave {:?}", texts(&came));
    }
    drop((out, source));
    let mut source = line.source().await;
    line.say("c1", "new").await;
    let expected: &[&str] = if line.can().redelivers { &["out", "new"] } else { &["new"] };
    let mut came = texts(&line.take(&mut *source, expected.len()).await);
    came.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(came, expected);
}
