//! The counting remote and the skill over it.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Call, Context, Effect, ErrorKind, Happened, IdempotencyKey, MessageId, TenantId,
    channel::{Intent, Reconciled},
    skill::Skill,
};
use openclaw_testkit::{
    env::{EPOCH, SeededRng},
    remote::{Behaviour, CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn key() -> IdempotencyKey {
    IdempotencyKey::of(MessageId::from_u128(1), "refund").unwrap()
}

fn intent(request: &Value) -> Intent {
    Intent::new(key(), "refund.create", Arc::new(request.clone()), EPOCH)
}

async fn run(skill: &RemoteSkill, input: Value) -> openclaw_core::Result<()> {
    let context = Context::new(TenantId::new("acme").unwrap());
    let call = Call::skill(context, skill.manifest(), Arc::new(input)).with_key(key());
    skill.run(call).await.map(|_| ())
}

#[tokio::test(start_paused = true)]
async fn a_keyed_remote_has_one_effect_per_key() {
    let remote = CountingRemote::new(RemoteKind::Keyed);
    let (a, b) = (json!({"order": 1}), json!({"order": 2}));
    let first = remote.call(Some("k"), &a).await.unwrap();
    assert_eq!(remote.call(Some("k"), &a).await.unwrap(), first);
    let reused = remote.call(Some("k"), &b).await.unwrap_err();
    assert_eq!((reused.kind(), reused.happened()), (ErrorKind::Conflict, Happened::No));
    remote.call(Some("l"), &a).await.unwrap();
    assert_eq!((remote.effects("k"), remote.effects("l"), remote.effects_total()), (1, 1, 2));
    assert_eq!((remote.effects_of(&a), remote.effects_of(&b)), (2, 0));
    assert_eq!((remote.duplicates(), remote.keys_reused(), remote.calls_total()), (0, 1, 4));
    assert_eq!(remote.by_key(), [("k".to_owned(), 1), ("l".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_unkeyed_remote_counts_what_it_does_twice() {
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let payload = json!({"order": 1});
    for key in [Some("k"), Some("k"), Some("k"), None, None] {
        remote.call(key, &payload).await.unwrap();
    }
    assert_eq!((remote.effects("k"), remote.effects_total()), (3, 5));
    assert_eq!(remote.duplicates(), 3, "two of the key, one of the payload without a key");
}

#[tokio::test(start_paused = true)]
async fn each_behaviour_does_what_its_name_says() {
    let remote = CountingRemote::new(RemoteKind::Unkeyed);
    let wait = Duration::from_secs(5);
    let script = [
        (Behaviour::Answer, 1, None),
        (Behaviour::LoseAnswer, 1, Some(Happened::Maybe)),
        (Behaviour::FailBefore, 0, Some(Happened::No)),
        (Behaviour::Busy { retry_after: wait }, 0, Some(Happened::Maybe)),
    ];
    remote.script(script.map(|(behaviour, ..)| behaviour));
    for (behaviour, effects, happened) in script {
        let before = remote.effects_total();
        let answer = remote.call(None, &json!(1)).await;
        assert_eq!(remote.effects_total() - before, effects, "{behaviour:?}");
        assert_eq!(answer.as_ref().err().map(|e| e.happened()), happened, "{behaviour:?}");
        if let Behaviour::Busy { .. } = behaviour {
            assert_eq!(answer.unwrap_err().retry_after(), Some(wait));
        }
    }
    assert!(remote.call(None, &json!(1)).await.is_ok(), "behind the script it behaves");
}

#[tokio::test(start_paused = true)]
async fn a_late_or_hanging_answer_comes_behind_the_effect() {
    let remote = CountingRemote::new(RemoteKind::Keyed);
    remote.script([Behaviour::AnswerLate(SECOND * 9), Behaviour::AnswerLate(SECOND * 9)]);
    let began = Instant::now();
    assert!(timeout(SECOND, remote.call(Some("k"), &json!(1))).await.is_err());
    assert_eq!(remote.effects("k"), 1, "the caller gave up, the effect stays");
    remote.call(Some("k"), &json!(1)).await.unwrap();
    assert_eq!(began.elapsed(), SECOND * 10);
    remote.script([Behaviour::Hang]);
    assert!(timeout(SECOND * 600, remote.call(Some("h"), &json!(1))).await.is_err());
    assert_eq!(remote.effects("h"), 1);
}

#[tokio::test(start_paused = true)]
async fn one_seed_misbehaves_the_same_way() {
    let run = |seed| async move {
        let remote = CountingRemote::new(RemoteKind::Unkeyed);
        remote.misbehave(SeededRng::new(seed), 0.5);
        let mut story = Vec::new();
        for _ in 0..64 {
            let began = Instant::now();
            let answer = remote.call(None, &json!(1)).await;
            story.push((began.elapsed(), answer.err().map(|e| e.to_string())));
        }
        (story, remote.effects_total())
    };
    let (story, effects) = run(3).await;
    assert_eq!((story.clone(), effects), run(3).await);
    assert_ne!((story.clone(), effects), run(4).await);
    assert!(story.iter().filter(|(_, e)| e.is_some()).count() > 8);
    assert!((1..64).contains(&effects));
}

#[tokio::test(start_paused = true)]
async fn a_lagging_look_up_is_never_taken_for_a_no() {
    let remote = CountingRemote::new(RemoteKind::Unkeyed).lagging(SECOND * 30);
    let skill = RemoteSkill::named("refund.create", Effect::Reconcilable, remote.clone()).unwrap();
    let input = json!({"order": 1});
    let hook = skill.reconcile().unwrap();
    let ask = || async { hook.reconcile(&intent(&input)).await.unwrap() };
    assert!(matches!(ask().await, Reconciled::DidNotHappen), "it was never called");

    remote.script([Behaviour::LoseAnswer]);
    run(&skill, input.clone()).await.unwrap_err();
    assert_eq!(remote.lookup(key().as_str()), None, "it lags");
    let Reconciled::NotYetKnown { retry_after } = ask().await else { panic!("it guesses") };
    tokio::time::sleep(retry_after).await;
    assert!(matches!(ask().await, Reconciled::Happened(answer) if *answer == json!({"effect": 1})));
}

#[tokio::test(start_paused = true)]
async fn an_open_call_is_not_yet_known() {
    let remote = CountingRemote::new(RemoteKind::Unkeyed).lagging(SECOND);
    let skill = RemoteSkill::named("refund.create", Effect::Reconcilable, remote.clone()).unwrap();
    remote.script([Behaviour::AnswerLate(SECOND * 60), Behaviour::FailBefore]);
    let input = json!({"order": 1});
    let hook = skill.reconcile().unwrap();
    let call = run(&skill, input.clone());
    tokio::pin!(call);
    assert!(timeout(Duration::from_millis(500), &mut call).await.is_err());
    let open = hook.reconcile(&intent(&input)).await.unwrap();
    assert!(matches!(open, Reconciled::NotYetKnown { .. }));
    assert!(call.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_pure_skill_has_no_effects_and_a_failed_one_did_not_happen() {
    let remote = CountingRemote::new(RemoteKind::Keyed)
        .answering(|n, payload| json!({"n": n, "of": payload}));
    let reader = RemoteSkill::named("order.lookup", Effect::Pure, remote.clone()).unwrap();
    assert!(reader.reconcile().is_none());
    run(&reader, json!(7)).await.unwrap();
    assert_eq!((remote.effects_total(), remote.calls_total()), (0, 1));

    let skill = RemoteSkill::named("refund.create", Effect::Reconcilable, remote.clone()).unwrap();
    remote.script([Behaviour::FailBefore]);
    run(&skill, json!(7)).await.unwrap_err();
    let known = skill.reconcile().unwrap().reconcile(&intent(&json!(7))).await.unwrap();
    assert!(matches!(known, Reconciled::DidNotHappen));
    run(&skill, json!(7)).await.unwrap();
    assert_eq!(skill.remote().lookup(key().as_str()), Some(json!({"n": 1, "of": 7})));
}
