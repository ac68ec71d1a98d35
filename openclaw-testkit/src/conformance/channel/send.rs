//! Sending: one request for each call, and only what is declared.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    ErrorKind, Happened, IdempotencyKey, MessageId,
    channel::{Intent, Outbound, Receipt, Reconciled},
};

use super::{Line, line::part};
use crate::env::EPOCH;

/// A post is heard once, where it was sent, under the id of its receipt.
pub async fn a_post_is_heard_once(line: &Line) {
    let mut receipts = Vec::new();
    for (place, said) in [("c1", "hello"), ("c2", "ünï 😀")] {
        receipts.push(line.send(line.post(place, part(said))).await.expect("a receipt"));
    }
    let heard = line.heard_exactly(2).await;
    for (heard, (place, said)) in heard.iter().zip([("c1", "hello"), ("c2", "ünï 😀")]) {
        assert_eq!((&*heard.text, &heard.conversation), (said, &line.place(place).id));
    }
    for (heard, receipt) in heard.iter().zip(receipts) {
        if let (Some(ours), Some(theirs)) = (receipt.message, &heard.message) {
            assert_eq!(&ours, theirs, "the receipt names another message");
        }
    }
}

/// Posts that follow each other are heard in that order.
pub async fn posts_are_heard_in_order(line: &Line) {
    let said: Vec<String> = (0..10).map(|n| format!("post {n}")).collect();
    for text in &said {
        line.send(line.post("c1", part(text))).await.expect("a receipt");
    }
    let heard = line.heard_exactly(said.len()).await;
    assert_eq!(heard.into_iter().map(|heard| heard.text).collect::<Vec<_>>(), said);
}

/// One of each kind beside the post, about this message.
fn kinds(line: &Line, message: &Arc<str>) -> [Outbound; 4] {
    let to = || line.place("c1");
    let message = || Arc::clone(message);
    [
        Outbound::Edit { to: to(), message: message(), part: part("edited") },
        Outbound::Delete { to: to(), message: message() },
        Outbound::React { to: to(), message: message(), emoji: "👍".into() },
        Outbound::Typing { to: to() },
    ]
}

/// What is not declared answers `UNSUPPORTED`, and nothing comes out.
pub async fn what_is_not_declared_is_unsupported(line: &Line) {
    for outbound in kinds(line, &"m1".into()) {
        if line.can().allows(&outbound) {
            continue;
        }
        let said = format!("{outbound:?}");
        let e = match line.send(line.call(outbound)).await {
            Ok(receipt) => panic!("not declared, and yet {receipt:?}: {said}"),
            Err(e) => e,
        };
        assert_eq!((e.kind(), e.happened()), (ErrorKind::Unsupported, Happened::No), "{said}");
    }
    line.heard_exactly(0).await;
}

/// What is declared is supported, for a message of ours.
pub async fn what_is_declared_is_supported(line: &Line) {
    for at in 0..4 {
        let posted = line.send(line.post("c1", part("hello"))).await.expect("a receipt");
        let Receipt { message, .. } = posted;
        let [edit, delete, react, typing] = kinds(line, &message.unwrap_or_default());
        let outbound = [react, edit, typing, delete].into_iter().nth(at).expect("one of four");
        if line.can().allows(&outbound) {
            let said = format!("{outbound:?}");
            let answer = line.send(line.call(outbound)).await;
            let unsupported = answer.as_ref().is_err_and(|e| e.kind() == ErrorKind::Unsupported);
            assert!(!unsupported, "declared, and yet unsupported: {said}");
        }
    }
}

fn key(turn: u128) -> IdempotencyKey {
    IdempotencyKey::of(MessageId::from_u128(turn), "reply").expect("a key")
}

/// Two posts under one key are one message with one receipt; another key is another message.
pub async fn a_keyed_post_is_heard_once(line: &Line) {
    let send = |turn| line.send(line.post("c1", part("hello")).with_key(key(turn)));
    let first = send(1).await.expect("a receipt");
    assert_eq!(send(1).await.expect("a receipt"), first, "the same key, another receipt");
    send(2).await.expect("a receipt");
    line.heard_exactly(2).await;
}

/// What the hook says in the end about a post under the key of this turn.
async fn find(line: &Line, turn: u128) -> Reconciled {
    let hook = line.channel().reconcile().expect("a hook");
    let call = line.post("c1", part("hello"));
    let request = serde_json::to_value(call.payload()).expect("JSON");
    let intent = Intent::new(key(turn), call.target(), Arc::new(request), EPOCH);
    for _ in 0..100 {
        match hook.reconcile(&intent).await.expect("the platform can be asked") {
            Reconciled::NotYetKnown { retry_after } => {
                tokio::time::sleep(retry_after.max(Duration::from_millis(10))).await;
            }
            known => return known,
        }
    }
    panic!("asked a hundred times, the hook still says `NotYetKnown`");
}

/// The hook never says that a post did not happen that did, nor the other way round.
pub async fn a_hook_tells_the_truth_about_posts(line: &Line) {
    line.send(line.post("c1", part("hello")).with_key(key(1))).await.expect("a receipt");
    let (sent, never) = (find(line, 1).await, find(line, 2).await);
    assert!(!matches!(sent, Reconciled::DidNotHappen), "it was sent, and yet {sent:?}");
    assert!(!matches!(never, Reconciled::Happened(_)), "never sent, and yet {never:?}");
}

/// Asking is reading: nothing comes out of it.
pub async fn asking_a_hook_posts_nothing(line: &Line) {
    drop(find(line, 1).await);
    line.heard_exactly(0).await;
}
