//! Time: no longer than the call has.

use std::time::Duration;

use openclaw_core::{Cancel, ErrorKind, Happened};
use tokio::time::{Instant, sleep, timeout};

use super::{Trial, trial::request};

const A_SECOND: Duration = Duration::from_secs(1);

/// It waits no longer than the call's deadline, and nothing was sent.
pub async fn it_waits_no_longer_than_its_call(trial: &Trial<'_>) {
    trial.peer().fall_silent().await;
    let context = trial.context().with_deadline(Instant::now() + A_SECOND);
    let mut bare = request();
    let signed = timeout(2 * A_SECOND, trial.sign_for(&context, &mut bare, None)).await;
    let e = signed.expect("it waits behind the deadline").expect_err("nobody answers");
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::No), "{e}");
}

/// It ends when the call is cancelled, and nothing was sent.
pub async fn it_ends_when_its_call_is_cancelled(trial: &Trial<'_>) {
    trial.peer().fall_silent().await;
    let (canceller, cancel) = Cancel::pair();
    let context = trial.context().with_cancel(cancel);
    let mut bare = request();
    let cancels = async {
        sleep(A_SECOND).await;
        canceller.cancel();
        sleep(A_SECOND).await;
    };
    let signed = tokio::select! {
        biased;
        signed = trial.sign_for(&context, &mut bare, None) => signed,
        () = cancels => panic!("it waits for a call that was cancelled"),
    };
    let e = signed.expect_err("nobody answers");
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Cancelled, Happened::No), "{e}");
}
