//! A 401: one more question, and another credential.

use openclaw_core::Happened;
use openclaw_testkit::conformance::__together as together;

use super::{Trial, trial::request};

/// What the remote has refused is of no use any more: the answer carries another one.
pub async fn a_refused_credential_is_replaced(trial: &Trial<'_>) {
    let old = trial.rotated().await;
    let new = trial.accepted(Some(old)).await;
    assert_ne!(new, old, "the credential that was refused");
    assert_eq!(trial.accepted(None).await, new, "who asks next gets the new one");
}

/// Who hears of a refusal late gets what somebody else has got since, and costs nothing.
pub async fn a_late_refusal_keeps_what_is_valid(trial: &Trial<'_>) {
    let old = trial.rotated().await;
    let new = trial.accepted(Some(old)).await;
    let before = trial.asked();
    for _ in 0..3 {
        assert_eq!(trial.accepted(Some(old)).await, new, "the refusal was of an older one");
    }
    assert_eq!(trial.asked(), before, "questions because of late refusals");
}

/// A refusal is one question at most, also when the remote refuses whatever comes.
pub async fn a_refusal_is_one_question_at_most(trial: &Trial<'_>) {
    let mut refused = trial.accepted(None).await;
    for n in 1..=5 {
        let before = trial.asked();
        match trial.sign(&mut request(), Some(refused)).await {
            Ok(next) => refused = next,
            Err(e) => assert_eq!(e.happened(), Happened::No, "{e}"),
        }
        let questions = trial.asked() - before;
        assert!(questions <= 1, "{questions} questions at refusal {n} in a row");
    }
}

/// Many who were refused with the same credential cause one question, and all get the new one.
pub async fn many_refusals_of_one_are_one_question(trial: &Trial<'_>) {
    let old = trial.rotated().await;
    let before = trial.asked();
    let new = together((0..16).map(|_| trial.accepted(Some(old)))).await;
    assert!(new.iter().all(|name| *name != old), "the credential that was refused");
    assert_eq!(trial.asked() - before, 1, "questions of 16 who were refused at once");
}
