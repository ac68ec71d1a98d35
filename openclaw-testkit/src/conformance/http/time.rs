//! Time: nobody waits longer than the call allows.

use std::time::Duration;

use http::Method;
use openclaw_core::{Cancel, ErrorKind, Happened};
use tokio::time::{Instant, timeout};

use super::{Meets, Trial};
use crate::conformance::run::{abandon, beside};

const SHORT: Duration = Duration::from_millis(300);

/// A silent server is given up at the call's deadline; it may have acted.
pub async fn silence_ends_at_the_deadline(trial: &Trial<'_>) {
    trial.meets(Meets::Silence).await;
    let call = trial.call(Method::POST, "/silence", "x");
    let context = call.context().clone().with_deadline(Instant::now() + SHORT);
    let answer = timeout(trial.soon() / 4, trial.client().send(call.with_context(context))).await;
    let e = answer.expect("it waits behind its deadline").expect_err("no answer came");
    assert_eq!(e.kind(), ErrorKind::Timeout, "{e:?}");
    assert_ne!(e.happened(), Happened::No, "the request was read: {e:?}");
}

/// Behind its deadline a call sends nothing.
pub async fn nothing_is_sent_behind_the_deadline(trial: &Trial<'_>) {
    let call = trial.call(Method::POST, "/late", "x");
    let context = call.context().clone().with_deadline(Instant::now());
    tokio::time::sleep(Duration::from_millis(1)).await;
    let e = trial.send(call.with_context(context)).await.expect_err("it is too late");
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::No), "{e:?}");
    trial.quiet().await;
    assert_eq!(trial.heard().await.len(), 0, "requests that came too late");
}

/// A caller that cancels waits no longer, and the request may have been read.
pub async fn a_caller_that_cancels_waits_no_longer(trial: &Trial<'_>) {
    trial.meets(Meets::Silence).await;
    let (canceller, cancel) = Cancel::pair();
    let call = trial.call(Method::POST, "/cancel", "x");
    let context = call.context().clone().with_cancel(cancel);
    let give_up = async {
        while trial.heard().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        canceller.cancel();
    };
    let send = timeout(trial.soon() / 4, trial.client().send(call.with_context(context)));
    let (answer, ()) = tokio::join!(send, give_up);
    let e = answer.expect("it waits for a caller that left").expect_err("no answer came");
    assert_eq!(e.kind(), ErrorKind::Cancelled, "{e:?}");
    assert_ne!(e.happened(), Happened::No, "the request was read: {e:?}");
}

/// A send that is dropped, wherever it stands, is one request at most.
pub async fn a_dropped_send_is_one_request_at_most(trial: &Trial<'_>) {
    drop(trial.client().send(trial.call(Method::POST, "/unpolled", "x")));
    trial.quiet().await;
    assert_eq!(trial.heard().await.len(), 0, "requests of a send that nobody polled");
    for polls in 1..=6 {
        let before = trial.heard().await.len();
        let call = trial.call(Method::POST, "/dropped", "x");
        drop(abandon(trial.send(call), polls, trial.soon() / 4).await);
        trial.quiet().await;
        let requests = trial.heard().await.len() - before;
        assert!(requests <= 1, "{requests} requests of a send that was dropped at poll {polls}");
    }
}

/// A server that is silent to one send holds up no other.
pub async fn a_silent_server_holds_up_no_other_send(trial: &Trial<'_>) {
    trial.meets(Meets::Silence).await;
    let other = async {
        while trial.heard().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answer = timeout(trial.soon() / 4, trial.get("/other")).await;
        answer.expect("it waits for a send that is silent").expect("a response");
    };
    beside(trial.client().send(trial.call(Method::GET, "/silence", "")), other).await;
}
