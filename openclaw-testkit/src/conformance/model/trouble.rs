//! Trouble: refusals, broken replies, silence.

use std::time::Duration;

use openclaw_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout};

use super::{Meets, Trial, trial::says};
use crate::conformance::run::{abandon, beside, quotes};

const SECRET: &str = "prompt-5f2c";

const REFUSE: Meets = Meets::Refuse { retry_after: Duration::from_secs(7) };

/// What a call says of its trouble: completed, and streamed up to its first error.
async fn errors(trial: &Trial<'_>, meets: &Meets) -> [Result<()>; 2] {
    trial.meets(meets.clone()).await;
    let completed = trial.complete(says(SECRET)).await.map(drop);
    trial.meets(meets.clone()).await;
    let streamed = trial.stream(says(SECRET)).await.map(drop);
    [completed, streamed]
}

fn refused(e: &Error) {
    assert_eq!(e.kind(), ErrorKind::RateLimited, "{e:?}");
    let after = e.retry_after().unwrap_or_default();
    assert!(after >= Duration::from_secs(7), "come back in 7 s, but {e:?}");
}

/// A refusal is an error of the call, and says when to come back.
pub async fn a_refusal_is_an_error_of_the_call(trial: &Trial<'_>) {
    trial.meets(REFUSE).await;
    refused(&trial.complete(says("hello")).await.expect_err("it was refused"));
    trial.meets(REFUSE).await;
    let asked = timeout(trial.soon(), trial.model().stream(trial.call(says("hello")))).await;
    let e = asked.expect("`stream` does not answer").map(drop);
    refused(&e.expect_err("a stream of a call that was refused"));
}

/// A refusal is not tried again: that is a layer's business.
pub async fn a_refusal_is_not_tried_again(trial: &Trial<'_>) {
    drop(errors(trial, &REFUSE).await);
    trial.quiet().await;
    assert_eq!(trial.requests().await, 2, "requests of two calls that were refused");
}

/// A reply that breaks off is an error, never a short reply.
pub async fn a_reply_that_breaks_is_an_error(trial: &Trial<'_>) {
    let [completed, streamed] = errors(trial, &Meets::Break("half of ".to_owned())).await;
    drop(completed.expect_err("a reply that broke off"));
    drop(streamed.expect_err("a stream that broke off"));
}

/// No error quotes the prompt: errors end up in logs.
pub async fn errors_quote_no_prompt(trial: &Trial<'_>) {
    for meets in [REFUSE, Meets::Break(SECRET.to_owned())] {
        for e in errors(trial, &meets).await.into_iter().filter_map(Result::err) {
            assert!(!quotes(&e, SECRET), "it quotes the prompt: {e:?}");
        }
    }
}

/// A call that gets no reply holds up no other.
pub async fn a_silent_call_holds_up_no_other(trial: &Trial<'_>) {
    trial.meets(Meets::Silence).await;
    let other = async {
        tokio::time::sleep(trial.soon() / 20).await;
        let answer = timeout(trial.soon() / 4, trial.complete(says("two"))).await;
        answer.expect("it waits for a call that is silent").expect("a reply");
    };
    beside(trial.model().complete(trial.call(says("one"))), other).await;
}

/// A call that is dropped, wherever it stands, is one request at most.
pub async fn a_dropped_call_is_one_request_at_most(trial: &Trial<'_>) {
    drop(trial.model().complete(trial.call(says("unpolled"))));
    trial.quiet().await;
    assert_eq!(trial.requests().await, 0, "requests of a call that nobody polled");
    for polls in 1..=6 {
        let before = trial.requests().await;
        drop(abandon(trial.complete(says("dropped")), polls, trial.soon() / 4).await);
        trial.quiet().await;
        let requests = trial.requests().await - before;
        assert!(requests <= 1, "{requests} requests of a call that was dropped at poll {polls}");
    }
}

/// A silent provider is given up at the call's deadline.
pub async fn silence_ends_at_the_deadline(trial: &Trial<'_>) {
    trial.meets(Meets::Silence).await;
    let call = trial.call(says("hello"));
    let deadline = Instant::now() + Duration::from_millis(300);
    let context = call.context().clone().with_deadline(deadline);
    let call = trial.model().complete(call.with_context(context));
    let answer = timeout(Duration::from_secs(10), call).await;
    let e = answer.expect("it goes on behind its deadline").expect_err("nobody answered");
    assert_eq!(e.kind(), ErrorKind::Timeout, "{e:?}");
}
