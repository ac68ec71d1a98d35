//! What a channel says about itself.

use std::time::Duration;

use openclaw_core::Effect;
use tokio::time::timeout;

use super::{Line, line::part};

/// Id and capabilities are facts: they never change.
pub async fn id_and_capabilities_never_change(line: &Line) {
    let facts = || (line.channel().id().clone(), format!("{:?}", line.can()));
    let before = facts();
    assert_eq!(facts(), before, "asked twice in a row");
    let source = line.channel().receive().await.expect("a connection");
    drop(line.send(line.post("c1", part("hello"))).await);
    assert_eq!(facts(), before, "behind a connect and a send");
    drop(source);
    assert_eq!(facts(), before);
}

/// `health` answers within a second, connected or not.
pub async fn health_answers_within_a_second(line: &Line) {
    let ask = || async {
        let answer = timeout(Duration::from_secs(1), line.channel().health()).await;
        answer.expect("`health` took more than a second");
    };
    ask().await;
    let source = line.channel().receive().await.expect("a connection");
    ask().await;
    line.hang_up().await;
    ask().await;
    if let Some(source) = source {
        // What the far end has broken may refuse to be closed.
        drop(source.close().await);
    }
    ask().await;
}

/// A channel whose posts are reconcilable has a hook to ask.
pub async fn a_declared_hook_is_there(line: &Line) {
    if line.can().post == Effect::Reconcilable {
        assert!(line.channel().reconcile().is_some(), "posts are Reconcilable, by whom?");
    }
}
