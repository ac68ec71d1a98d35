//! What people say: asked once, decided by others, consumed by one claim, across restarts.

use openclaw_core::{AgentId, records::EffectState};
use openclaw_testkit::{
    env::{EPOCH, ManualClock, SeededRng},
    fault::Fault,
    trace::Event,
};
use tokio::time::{sleep, timeout};

use super::*;

/// Labels of the commits that wrote an approval.
fn wrote(bank: &Bank) -> Vec<&'static str> {
    let writes = |event: &Event| match event {
        Event::Commit { label, rows } => {
            let is_one = |(key, _): &(Vec<u8>, _)| key.windows(4).any(|part| part == b"\0\x02ap");
            rows.iter().any(is_one).then_some(*label)
        }
        _ => None,
    };
    bank.trace.events().iter().filter_map(writes).collect()
}

#[tokio::test(start_paused = true)]
async fn people_are_asked_once_and_the_claim_consumes_their_yes() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    // Each step is another process.
    let start = || bank.stack(Effect::AtMostOnce, |b| b.authorizer(one()));
    let request = asked(pay(&start(), "1").await);
    assert_eq!(asked(pay(&start(), "1").await), request, "the same request");
    let open = approval(&start(), &request).await;
    let wanted = open.asked.unwrap();
    assert_eq!((&*wanted.skill, &*wanted.version, &*wanted.sender), ("pay", "1.0.0", "ann"));
    assert_eq!(
        (&*wanted.operation, &*wanted.input),
        (key(&start(), "1").as_str(), &json!({ "amount": 7 }))
    );
    let vote = Vote::yes().because("as agreed");
    assert_eq!(says(&start(), "bob", &request, vote).await.unwrap(), ApprovalState::Granted);
    assert_eq!(bank.counts(), (0, 0));
    let paid = pay(&start(), "1").await.unwrap();
    assert_eq!(approval(&start(), &request).await.state, ApprovalState::Consumed);
    assert_eq!(record(&start(), "1").await.approval.as_deref(), Some(&*request));
    assert_eq!(wrote(&bank), ["request", "approve", "claim"]);
    assert_eq!(pay(&start(), "1").await.unwrap(), paid);
    assert_eq!(bank.counts(), (1, 1));
    let trail = bank.trail().await;
    let actions: Vec<AuditAction> = trail.iter().map(|entry| entry.action.clone()).collect();
    assert_eq!(
        actions,
        [
            AuditAction::ApprovalRequested,
            AuditAction::ApprovalGranted,
            AuditAction::EffectClaimed,
            AuditAction::EffectDone
        ]
    );
    assert_eq!(&*trail[1].note, format!("approval {request}: as agreed"));
    assert_eq!(&*trail[1].subject, "bob");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_does_not_decide_and_a_quorum_is_of_several() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let terms = asks(&json!({ "quorum": 2, "reason": "it is money" }));
    let stack = bank.stack(Effect::AtMostOnce, |b| b.authorizer(terms));
    let run = stack.run("1").by(AgentId::new("clerk").unwrap());
    let request = asked(run.call(&ann(), seven()).await);
    for asker in ["ann", "clerk"] {
        let outcome = says(&stack, asker, &request, Vote::yes()).await;
        assert_eq!(told(outcome).0, ErrorKind::PermissionDenied, "{asker}");
    }
    let stranger = Principal::authenticated(
        TenantId::new("globex").unwrap(),
        Subject::new("bob").unwrap(),
        "test",
    );
    let outcome = stack.decide_approval(&stranger, &request, Vote::yes()).await;
    assert_eq!(told(outcome).0, ErrorKind::NotFound);
    for (who, state) in [
        ("bob", ApprovalState::Requested),
        ("bob", ApprovalState::Requested),
        ("carol", ApprovalState::Granted),
    ] {
        assert_eq!(asked(run.call(&ann(), seven()).await), request);
        assert_eq!(says(&stack, who, &request, Vote::yes()).await.unwrap(), state, "{who}");
    }
    run.call(&ann(), seven()).await.unwrap();
    assert_eq!(bank.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_no_is_told_in_that_persons_words_and_stays_one() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let start = || bank.stack(Effect::AtMostOnce, |b| b.authorizer(one()));
    let request = asked(pay(&start(), "1").await);
    let no = Vote::no().because("the order is disputed");
    assert_eq!(says(&start(), "bob", &request, no).await.unwrap(), ApprovalState::Denied);
    for _ in 0..2 {
        let e = pay(&start(), "1").await.unwrap_err();
        assert_eq!(
            (e.kind(), e.public()),
            (ErrorKind::PermissionDenied, "bob said no: the order is disputed")
        );
    }
    assert_eq!(told(says(&start(), "carol", &request, Vote::yes()).await).0, ErrorKind::Conflict);
    assert_eq!((bank.counts(), bank.rows_of("ik").await), ((0, 0), 0));
    assert_ne!(asked(pay(&start(), "2").await), request, "another run asks anew");
}

#[tokio::test(start_paused = true)]
async fn a_request_and_a_yes_end_with_their_time() {
    for granted in [false, true] {
        let bank = Bank::new(RemoteKind::Unkeyed);
        let stack = bank.stack(Effect::AtMostOnce, |b| b.authorizer(one()));
        let request = asked(pay(&stack, "1").await);
        if granted {
            says(&stack, "bob", &request, Vote::yes()).await.unwrap();
        }
        sleep(HOUR).await;
        let e = pay(&stack, "1").await.unwrap_err();
        assert_eq!((e.kind(), e.is_exhausted()), (ErrorKind::ApprovalRequired, true), "{e}");
        let why =
            if granted { "the approval was not used in time" } else { "nobody answered in time" };
        assert_eq!(e.public(), why);
        assert_eq!(told(says(&stack, "carol", &request, Vote::yes()).await).0, ErrorKind::Conflict);
        assert_eq!((bank.counts(), bank.rows_of("ik").await), ((0, 0), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_for_one_key_and_exactly_its_input() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(Effect::AtMostOnce, |b| b.authorizer(one()));
    let request = asked(pay(&stack, "1").await);
    says(&stack, "bob", &request, Vote::yes()).await.unwrap();
    let stolen = stack.run("2").call(&ann(), seven().approved(&*request)).await;
    let e = stolen.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ApprovalRequired, "{e}");
    let more = SkillRequest::new(id("pay"), "pay", json!({ "amount": 8 }));
    let e = stack.run("1").call(&ann(), more.clone().approved(&*request)).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ApprovalRequired, "{e}");
    assert_ne!(asked(stack.run("1").call(&ann(), more).await), request, "that is another request");
    assert_eq!((bank.counts(), bank.rows_of("ik").await), ((0, 0), 0));
    pay(&stack, "1").await.unwrap();
    assert_eq!(bank.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_yes_that_nobody_asked_for_is_good_for_one_run() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(Effect::AtMostOnce, |b| b.authorizer(one()));
    let digest = Approval::digest_of(&tenant(), "pay", "1.0.0", &json!({ "amount": 7 }));
    let until = bank.env.now().after(HOUR);
    let grant = Approval::granted(digest, "carol", until);
    stack.approvals(&tenant()).grant("a-1", &grant).await.unwrap();
    let named = async |run| stack.run(run).call(&ann(), seven().approved("a-1")).await;
    named("1").await.unwrap();
    let e = named("2").await.unwrap_err();
    assert_eq!((e.kind(), word(&e, "approval")), (ErrorKind::ApprovalRequired, "a-1".to_owned()));
    named("1").await.unwrap();
    assert_eq!(bank.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn two_processes_that_share_a_yes_have_one_effect() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let start = || bank.stack(Effect::AtMostOnce, |b| b.authorizer(one()));
    let (here, there) = (start(), start());
    let request = asked(pay(&here, "1").await);
    says(&here, "bob", &request, Vote::yes()).await.unwrap();
    bank.plan.delay("commit", 10 * MS);
    let (one, two) = tokio::join!(pay(&here, "1"), pay(&there, "1"));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(bank.counts(), (1, 1));
    pay(&there, "1").await.unwrap();
    assert_eq!(bank.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn callers_of_one_key_are_judged_one_by_one() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let rules = json!({ "rules": [{ "name": "robots", "when": { "agents": ["robot"] },
        "then": { "deny": { "code": "NO", "reason": "no robots" } } }], "default": "allow" });
    let rules = Rules::from_json(&rules.to_string()).unwrap();
    let stack = bank.stack(Effect::AtMostOnce, |b| b.authorizer(rules));
    bank.plan.delay("commit", 10 * MS);
    let ask = async |agent| {
        let run = stack.run("1").by(AgentId::new(agent).unwrap());
        run.call(&ann(), seven()).await
    };
    let (robot, clerk) = tokio::join!(ask("robot"), ask("clerk"));
    assert_eq!(told(robot).0, ErrorKind::PermissionDenied);
    clerk.unwrap();
    assert_eq!(bank.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn whoever_said_yes_does_not_call_under_it() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(Effect::AtMostOnce, |b| b.authorizer(one()));
    let request = asked(pay(&stack, "1").await);
    says(&stack, "bob", &request, Vote::yes()).await.unwrap();
    let bob = Context::new(tenant()).with_principal(person("bob"));
    let e = stack.run("1").call(&bob, seven()).await.unwrap_err();
    assert_eq!((e.kind(), bank.counts()), (ErrorKind::ApprovalRequired, (0, 0)), "{e}");
    pay(&stack, "1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pure_call_and_a_wish_may_need_a_yes_too() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(Effect::Pure, |b| b);
    let wished = async || stack.run("1").call(&ann(), seven().needs_approval()).await;
    let request = asked(wished().await);
    let open = approval(&stack, &request).await;
    assert_eq!(&*open.terms[0].reason, "the caller asks for an approval");
    assert_eq!(bank.counts(), (0, 0));
    says(&stack, "bob", &request, Vote::yes()).await.unwrap();
    wished().await.unwrap();
    wished().await.unwrap();
    assert_eq!(bank.counts(), (0, 1), "one read for one yes");
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_anywhere_has_one_effect_and_uses_one_yes() {
    for cut in 0..16 {
        let bank = Bank::new(RemoteKind::Unkeyed);
        let start = || bank.stack(Effect::AtMostOnce, |b| b.authorizer(one()));
        let request = asked(pay(&start(), "1").await);
        says(&start(), "bob", &request, Vote::yes()).await.unwrap();
        bank.plan.every("commit", Fault::Delay(MS));
        bank.plan.every("read", Fault::Delay(MS));
        drop(timeout(cut * MS + MS / 2, pay(&start(), "1")).await);
        sleep(31 * S).await;
        let again = pay(&start(), "1").await;
        if again.is_err() {
            assert_eq!(reason(&again), Some(Reason::InDoubt), "cut at {cut} ms: {again:?}");
            assert!(bank.remote.effects_total() <= 1);
        } else {
            assert_eq!(bank.remote.effects_total(), 1, "cut at {cut} ms");
        }
        assert_eq!(approval(&start(), &request).await.state, ApprovalState::Consumed);
        assert_eq!(bank.audited(AuditAction::EffectClaimed).await, 1, "cut at {cut} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_ends_meanwhile_is_not_claimed_anew_without_a_yes() {
    for read in 1..=4 {
        let clock = ManualClock::new(EPOCH);
        let env = Env::new(clock.clone(), SeededRng::new(1));
        let bank = Bank::at(env, RemoteKind::Unkeyed);
        let start = || bank.stack(Effect::AtMostOnce, |b| b.retention(S).authorizer(one()));
        let request = asked(pay(&start(), "1").await);
        says(&start(), "bob", &request, Vote::yes()).await.unwrap();
        pay(&start(), "1").await.unwrap();
        let stack = start();
        jump_at(&bank.plan, read, clock.clone());
        drop(pay(&stack, "1").await);
        assert_eq!(bank.counts(), (1, 1), "its time ended at read {read}");
        let done = matches!(
            stack.record(&tenant(), &key(&stack, "1")).await.unwrap(),
            Some(EffectRecord { state: EffectState::Done { .. }, .. })
        );
        assert!(!done, "the clock has moved");
    }
}

/// Moves the clock at a read to come.
fn jump_at(plan: &Plan, read: u32, clock: ManualClock) {
    plan.when("read", move |plan| match read {
        1 => clock.advance(2 * S),
        _ => jump_at(plan, read - 1, clock),
    });
}
