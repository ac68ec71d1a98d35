//! Sending: one request for each call, and only what is declared.

use std::sync::Arc;

use openclaw_core::{
    ErrorKind, Happened, IdempotencyKey, MessageId,
    channel::{Outbound, Receipt},
};

use super::{Line, line::part};

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

/// Two posts under one key are one message with one receipt; another key is another message.
pub async fn a_keyed_post_is_heard_once(line: &Line) {
    let key = |turn| IdempotencyKey::of(MessageId::from_u128(turn), "reply").expect("a key");
    let send = |turn| line.send(line.post("c1", part("hello")).with_key(key(turn)));
    let first = send(1).await.expect("a receipt");
    assert_eq!(send(1).await.expect("a receipt"), first, "the same key, another receipt");
    send(2).await.expect("a receipt");
    line.heard_exactly(2).await;
}
