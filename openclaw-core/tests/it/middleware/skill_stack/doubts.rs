//! Effects that may have happened: sent again, asked about, or parked for a person.

use openclaw_testkit::remote::Behaviour;
use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_doubt_ends_as_its_effect_says() {
    for (effect, kind, effects) in [
        (KEYED, RemoteKind::Keyed, 1),
        (Effect::AtLeastOnce, RemoteKind::Unkeyed, 2),
        (Effect::Reconcilable, RemoteKind::Unkeyed, 1),
        (Effect::AtMostOnce, RemoteKind::Unkeyed, 1),
    ] {
        let bank = Bank::new(kind);
        let start = || bank.stack(effect, |b| b.authorizer(one()).resilience(single()));
        let request = asked(pay(&start(), "1").await);
        says(&start(), "bob", &request, Vote::yes()).await.unwrap();
        bank.remote.script([Behaviour::LoseAnswer]);
        assert_eq!(told(pay(&start(), "1").await).1, Happened::Maybe, "{effect:?}");
        let again = pay(&start(), "1").await;
        if effect == Effect::AtMostOnce {
            assert_eq!(reason(&again), Some(Reason::InDoubt));
            assert_eq!(record(&start(), "1").await.state.name(), "parked");
        } else {
            again.unwrap_or_else(|e| panic!("{effect:?}: {e}"));
        }
        assert_eq!(bank.remote.effects_total(), effects, "{effect:?}");
        assert_eq!(bank.audited(AuditAction::ApprovalRequested).await, 1, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_does_not_know_yet_is_asked_again_later() {
    let env = test_env(1);
    let mut bank = Bank::at(env, RemoteKind::Unkeyed);
    bank.remote = bank.remote.lagging(10 * S);
    let stack = bank.stack(Effect::Reconcilable, |b| b);
    bank.remote.script([Behaviour::LoseAnswer]);
    pay(&stack, "1").await.unwrap_err();
    let e = pay(&stack, "1").await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::Maybe));
    sleep(e.retry_after().unwrap()).await;
    assert_eq!(pay(&stack, "1").await.unwrap(), SkillAnswer::done(json!({ "effect": 1 })));
    assert_eq!(bank.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_person_settles_what_is_parked() {
    for happened in [true, false] {
        let bank = Bank::new(RemoteKind::Unkeyed);
        let start = || bank.stack(Effect::AtMostOnce, |b| b);
        bank.remote.script([Behaviour::LoseAnswer]);
        pay(&start(), "1").await.unwrap_err();
        assert_eq!(reason(&pay(&start(), "1").await), Some(Reason::InDoubt));
        let answer = happened.then(|| SkillAnswer::done(json!("seen")));
        let stack = start();
        stack.settle(&tenant(), &key(&stack, "1"), answer.clone(), "ada").await.unwrap();
        let (expected, made) = match answer {
            Some(answer) => (answer, 1),
            None => (SkillAnswer::done(json!({ "effect": 2 })), 2),
        };
        assert_eq!(pay(&start(), "1").await.unwrap(), expected);
        assert_eq!(bank.remote.effects_total(), made);
        assert_eq!(bank.audited(AuditAction::EffectDecided).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_skill_that_panics_or_stays_silent_leaves_a_doubt() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(Effect::AtMostOnce, |b| b);
    bank.remote.script([Behaviour::Hang]);
    let outcome = pay(&stack, "1").await;
    assert_eq!(told(outcome), (ErrorKind::Conflict, Happened::Maybe), "parked at once");
    assert_eq!(reason(&pay(&stack, "1").await), Some(Reason::InDoubt));
    assert_eq!(bank.counts(), (1, 1));
}
