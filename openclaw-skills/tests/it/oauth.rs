//! OAuth grants in paused time: one request for many, rotation, refusals, crashes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use openclaw_core::{
    Call, Cancel, Context, Effects, Env, ErrorKind, Happened, Secret, TenantId,
    http::Http as _,
    records::{AuditAction, AuditLog},
    store::{MemoryStore, SharedStore},
};
use openclaw_skills::{
    api::Authorize,
    auth::{ApiKey, Authorized, ClientAuth, GrantState, OAuth, ReauthReason},
    secrets::{SecretRef, Secrets},
};
use openclaw_testkit::fault::{Fault, FaultStore, Plan};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::{
    desk::{Desk, Trouble},
    oauth_world::{TOKEN, World, crowd, refusal, text},
};

const HALF: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_cause_one_request() {
    let world = World::new();
    let grant = world.authorised().await;
    let found = crowd(std::slice::from_ref(&grant), 1000).await;
    assert!(found.iter().all(|token| token.as_deref() == Ok("access-1")));
    assert_eq!(world.desk.count(), 1);
    advance(Duration::from_secs(3298)).await;
    assert_eq!(text(&grant).await, "access-1");
    advance(Duration::from_secs(2)).await;
    let found = crowd(&[grant], 1000).await;
    assert!(found.iter().all(|token| token.as_deref() == Ok("access-2")), "300 s ahead of time");
    assert_eq!(
        (world.desk.count(), world.desk.last()),
        (2, { "grant_type=refresh_token&refresh_token=refresh-1".to_owned() })
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_of_five_replicas_cause_one_request() {
    let world = World::new();
    world.authorised().await;
    let replicas: Vec<OAuth> = (0..5).map(|_| world.person()).collect();
    let found = crowd(&replicas, 1000).await;
    assert!(found.iter().all(|token| token.as_deref() == Ok("access-1")));
    assert_eq!((world.desk.count(), world.desk.side_by_side()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_one_request_too_and_the_next_waits() {
    let world = World::new();
    world.desk.script([Trouble::Status(503, None), Trouble::Status(503, Some(30))]);
    let grant = world.authorised().await;
    let found = crowd(std::slice::from_ref(&grant), 1000).await;
    assert!(found.iter().all(|token| *token == Err(ErrorKind::Unavailable)));
    assert_eq!(world.desk.count(), 1);
    let error = refusal(&grant).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_after().is_some_and(|after| after <= Duration::from_secs(1)));
    assert_eq!(world.desk.count(), 1, "not asked again so soon");
    advance(Duration::from_secs(1)).await;
    refusal(&grant).await;
    let waiting = refusal(&grant).await.retry_after();
    assert_eq!(waiting, Some(Duration::from_secs(30)), "as the server said");
    assert_eq!(world.desk.count(), 2);
    let state = grant.status().await.expect("a row").state;
    assert!(matches!(state, GrantState::Waiting { .. }), "{state:?}");
    advance(Duration::from_secs(30)).await;
    assert_eq!(text(&grant).await, "access-1");
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_down_a_valid_token_is_used_to_its_end() {
    let world = World::new();
    let grant = world.authorised().await;
    text(&grant).await;
    world.desk.script(vec![Trouble::Status(500, None); 100]);
    advance(Duration::from_secs(3300)).await;
    assert_eq!(text(&grant).await, "access-1");
    assert_eq!(text(&grant).await, "access-1");
    assert_eq!(world.desk.count(), 2);
    advance(Duration::from_secs(300)).await;
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::ServerError);
    assert!(world.ends().is_empty(), "a server that is down revokes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_does_not_take_the_request_along() {
    let world = World::new();
    let grant = world.authorised().await;
    assert!(timeout(Duration::from_millis(500), grant.token()).await.is_err());
    let (one, two) = tokio::join!(grant.token(), grant.token());
    assert_eq!(one.expect("a token").expose(), "access-1");
    assert_eq!(two.expect("a token").expose(), "access-1");
    assert_eq!(world.desk.count(), 1, "the request went on");
    assert!(world.ends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_all_callers_left_goes_on_for_the_other_replicas() {
    let world = World::new();
    let (grant, other) = (world.authorised().await, world.person());
    assert!(timeout(HALF, grant.token()).await.is_err());
    sleep(Duration::from_secs(120)).await;
    assert_eq!((text(&other).await.as_str(), world.desk.count()), ("access-1", 1));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(text(&grant).await, "access-2", "not what came when nobody waited");
    assert!(world.ends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_all_callers_left_is_ended_before_the_process_stops() {
    let world = World::new();
    let grant = world.authorised().await;
    assert!(timeout(Duration::from_millis(500), grant.token()).await.is_err());
    grant.settle().await.expect("it ends well");
    grant.settle().await.expect("there is nothing more");
    drop(grant);
    assert_eq!(text(&world.person()).await, "access-1", "the next process finds it stored");
    assert_eq!(world.desk.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_behind_the_rotation_ends_the_grant_and_never_loops() {
    let world = World::new();
    let grant = world.authorised().await;
    // The server serves the request; the process dies before the answer is here.
    assert!(timeout(Duration::from_millis(500), grant.token()).await.is_err());
    drop(grant);
    let heir = world.person();
    let began = Instant::now();
    let error = refusal(&heir).await;
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("why=rotation lost"), "{error}");
    assert!(began.elapsed() >= Duration::from_secs(59), "not before the dead one's lease is over");
    assert_eq!(world.desk.count(), 2, "the old refresh token is tried once more");
    for _ in 0..100 {
        advance(Duration::from_secs(600)).await;
        assert_eq!(refusal(&heir).await.kind(), ErrorKind::AuthenticationFailed);
    }
    assert_eq!(world.desk.count(), 2, "and never again");
    assert_eq!(world.ends(), [ReauthReason::RotationLost], "told once");
    let state = heir.status().await.expect("a row").state;
    assert_eq!(state, GrantState::NeedsReauth { why: ReauthReason::RotationLost });
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_a_server_that_does_not_rotate_does_no_harm() {
    let world = World::new();
    world.desk.keep_refresh_tokens();
    world.desk.script([Trouble::NoConnection, Trouble::LoseAnswer]);
    let grant = world.authorised().await;
    for pause in [1, 2] {
        assert_eq!(refusal(&grant).await.kind(), ErrorKind::Unavailable);
        advance(Duration::from_secs(pause)).await;
    }
    assert_eq!(text(&grant).await, "access-2", "the refresh token is as it was");
    advance(Duration::from_secs(3300)).await;
    assert_eq!(text(&grant).await, "access-3");
    assert!(world.desk.last().ends_with("refresh_token=refresh-0"));
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_token_until_its_deadline_or_until_it_is_cancelled() {
    let world = World::new();
    let grant = world.authorised().await;
    let context = Context::new(TenantId::new("acme").expect("a name"));
    let (cancel, watch) = Cancel::pair();
    let ways = [
        (context.clone().with_deadline(Instant::now() + HALF), ErrorKind::Timeout),
        (context.clone().with_cancel(watch), ErrorKind::Cancelled),
    ];
    cancel.cancel();
    for (context, expected) in ways {
        let mut request = http::Request::new(Bytes::new());
        let signed = grant.authorize(&context, &mut request, None).await;
        let error = signed.expect_err("it takes a second");
        assert_eq!((error.kind(), error.happened()), (expected, Happened::No));
    }
    assert_eq!(text(&grant).await, "access-1");
    assert_eq!(world.desk.count(), 1, "the request went on all the same");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_effects_are_withheld_causes_no_request() {
    let world = World::new();
    let grant = world.authorised().await;
    let acme = Context::new(TenantId::new("acme").expect("a name"));
    let shadow = acme.with_effects(Effects::Withheld);
    let mut request = http::Request::new(Bytes::new());
    let error = grant.authorize(&shadow, &mut request, None).await.expect_err("nothing is sent");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::Unsupported, Happened::No));
    let key = ApiKey::bearer(
        Secrets::builder().build().expect("no names"),
        SecretRef::env("KEY").expect("a name"),
    );
    let desk = || world.desk.clone();
    for client in [
        Authorized::new(desk(), grant, "https://id.test"),
        Authorized::new(desk(), key, "https://id.test"),
    ] {
        let request = http::Request::get("https://id.test/orders").body(Bytes::new());
        let call = Call::http(shadow.clone(), request.expect("a request"));
        let error = client.expect("an origin").send(call).await.expect_err("nothing is sent");
        assert_eq!((error.kind(), world.desk.count()), (ErrorKind::Unsupported, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_that_rotated_ends_the_grant() {
    let world = World::new();
    world.desk.script([Trouble::LoseAnswer]);
    let grant = world.authorised().await;
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::Unavailable);
    advance(Duration::from_secs(1)).await;
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::AuthenticationFailed);
    assert_eq!(world.ends(), [ReauthReason::RotationLost]);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_grant_ends_for_all_until_a_person_authorises_it_again() {
    let world = World::new();
    let (grant, other) = (world.authorised().await, world.person());
    text(&grant).await;
    world.desk.revoke();
    advance(Duration::from_secs(3600)).await;
    let found = crowd(&[grant.clone(), other.clone()], 1000).await;
    assert!(found.iter().all(|token| *token == Err(ErrorKind::AuthenticationFailed)));
    assert_eq!(world.desk.count(), 2);
    assert_eq!(world.ends(), [ReauthReason::Revoked], "told once");

    let begun = other.begin().await.expect("a consent");
    other.finish(&Secret::new("code"), begun.state(), None).await.expect("it ends well");
    assert_eq!(text(&grant).await, "access-2", "the other process sees it at once");
    assert_eq!(world.desk.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_resource_refuses_is_replaced_once() {
    let world = World::new();
    let (grant, other) = (world.authorised().await, world.person());
    let first = grant.token().await.expect("a token");
    other.token().await.expect("the same");
    advance(Duration::from_secs(60)).await;
    for _ in 0..1000 {
        grant.refuse(&first);
    }
    let found = crowd(std::slice::from_ref(&grant), 1000).await;
    assert!(found.iter().all(|token| token.as_deref() == Ok("access-2")));
    assert_eq!(world.desk.count(), 2);
    other.refuse(&first);
    assert_eq!(text(&other).await, "access-2", "the other one adopts it");
    assert_eq!(world.desk.count(), 2);

    let second = grant.token().await.expect("a token");
    grant.refuse(&second);
    let error = refusal(&grant).await;
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("just issued"), "{error}");
    assert_eq!(world.desk.count(), 2, "a third would be refused as well");
    grant.refuse(&first);
    advance(Duration::from_secs(30)).await;
    assert_eq!(text(&grant).await, "access-3");
}

#[tokio::test(start_paused = true)]
async fn new_tokens_are_stored_before_anybody_gets_one() {
    let mut world = World::new();
    let plan = Plan::default();
    let below = Arc::clone(&world.store);
    world.store = Arc::new(FaultStore::new(below, plan.clone()));
    let grant = world.authorised().await;
    plan.fail_next("oauth tokens", 5);
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::Unavailable);
    assert_eq!(world.desk.count(), 1);
    assert_eq!(text(&grant).await, "access-1", "it is stored now");
    assert_eq!(world.desk.count(), 1, "nobody asked again: the first answer was kept");
    assert_eq!(text(&world.person()).await, "access-1");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_could_not_be_stored_in_time_beat_a_lease_that_knows_nothing_of_them() {
    let mut world = World::new();
    let plan = Plan::default();
    let below = Arc::clone(&world.store);
    world.store = Arc::new(FaultStore::new(Arc::clone(&below), plan.clone()));
    let grant = world.authorised().await;
    plan.fail("oauth tokens");
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::Unavailable);
    // Another replica takes the row when the lease is over; its store works, its server does not.
    world.store = below;
    world.desk.script([Trouble::NoConnection]);
    advance(Duration::from_secs(60)).await;
    assert_eq!(refusal(&world.person()).await.kind(), ErrorKind::Unavailable);
    plan.heal();
    assert_eq!(text(&grant).await, "access-1", "what the first had in hand");
    assert_eq!(text(&world.person()).await, "access-1");
    assert_eq!(world.desk.count(), 2);
    assert!(world.ends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn consents_and_ends_are_in_the_audit_trail() {
    let world = World::new();
    let person = || OAuth::authorization_code("crm", TOKEN, "gateway");
    let (grant, silent) = (world.build(person().audited()), world.build(person()));
    let trail = AuditLog::new(Arc::clone(&world.store), TenantId::new("acme").expect("a name"));
    silent.adopt(Secret::new("refresh-0")).await.expect("it is kept");
    assert!(trail.entries().await.expect("entries").is_empty(), "nobody asked for it");
    grant.adopt(Secret::new("refresh-0")).await.expect("it is kept");
    text(&grant).await;
    world.desk.revoke();
    advance(Duration::from_secs(3600)).await;
    refusal(&grant).await;
    let entries = trail.entries().await.expect("entries");
    let said: Vec<_> = entries.iter().map(|e| (&e.action, &*e.subject, &*e.note)).collect();
    let expected =
        [(&AuditAction::GrantAuthorised, "crm", ""), (&AuditAction::GrantEnded, "crm", "revoked")];
    assert_eq!(said, expected);
}

#[tokio::test(start_paused = true)]
async fn a_grant_signs_its_own_tenants_calls_unless_it_is_for_all() {
    let world = World::new();
    let client = || OAuth::client_credentials("crm", TOKEN, "gateway");
    let (own, all) = (world.build(client()), world.build(client().for_all_tenants()));
    let other = Context::new(TenantId::new("other").expect("a name"));
    let mut request = http::Request::new(Bytes::new());
    let error = own.authorize(&other, &mut request, None).await.expect_err("not theirs");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::PermissionDenied, Happened::No));
    assert!(request.headers().is_empty());
    assert!(all.authorize(&other, &mut request, None).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_loses_its_answers_is_read_back() {
    let mut world = World::new();
    let plan = Plan::default();
    let below = Arc::clone(&world.store);
    world.store = Arc::new(FaultStore::new(below, plan.clone()));
    let grant = world.authorised().await;
    for label in ["oauth claim", "oauth tokens"] {
        plan.next(label, 1, Fault::LoseAnswer);
    }
    assert_eq!((text(&grant).await.as_str(), world.desk.count()), ("access-1", 1));
    assert_eq!(plan.injected()["lose_answer"], 2);
    for label in ["oauth begin", "oauth finish", "oauth decide"] {
        plan.next(label, 1, Fault::LoseAnswer);
    }
    let begun = grant.begin().await.expect("a consent");
    grant.finish(&Secret::new("code"), begun.state(), None).await.expect("it ends well");
    assert_eq!((text(&grant).await.as_str(), world.desk.count()), ("access-2", 2));
    plan.next("oauth decide", 1, Fault::LoseAnswer);
    world.desk.revoke();
    advance(Duration::from_secs(3600)).await;
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::AuthenticationFailed);
    assert_eq!(world.ends(), [ReauthReason::Revoked], "told, though the answer was lost");
    assert_eq!(plan.injected()["lose_answer"], 6);
}

#[tokio::test(start_paused = true)]
async fn client_credentials_need_no_person() {
    let world = World::new();
    let grant = world.client();
    assert_eq!(text(&grant).await, "access-1");
    assert_eq!(world.desk.last(), "scope=contacts&grant_type=client_credentials");
    assert_eq!(world.desk.last_authorization(), "Basic Z2F0ZXdheTpjbGllbnQlMjBzM2NyZXQ=");
    assert_eq!(text(&world.client()).await, "access-1", "replicas share it");
    assert_eq!(grant.status().await.expect("a row").state, GrantState::Ready);
    grant.forget().await.expect("it goes");
    assert_eq!(text(&grant).await, "access-2");
}

#[tokio::test(start_paused = true)]
async fn the_clients_secret_may_go_in_the_form() {
    let world = World::new();
    let builder = OAuth::client_credentials("crm", TOKEN, "gate way").client_auth(ClientAuth::Post);
    text(&world.build(builder.field("audience", "crm"))).await;
    let form = "audience=crm&grant_type=client_credentials&client_id=gate%20way\
                &client_secret=client%20s3cret";
    assert_eq!((world.desk.last().as_str(), world.desk.last_authorization().as_str()), (form, ""));
}

#[tokio::test(start_paused = true)]
async fn a_rotated_client_secret_is_taken_up_without_a_restart() {
    let world = World::new();
    let grant = world.client();
    text(&grant).await;
    advance(Duration::from_secs(3300)).await;
    world.desk.script([Trouble::Refuse("invalid_client")]);
    text(&grant).await;
    assert_eq!(world.desk.count(), 2, "the same secret is not tried twice");
    advance(Duration::from_secs(1)).await;
    world.desk.script([Trouble::Refuse("invalid_client")]);
    let known = Arc::clone(&world.client_secret);
    // Read a moment ago, and so kept: only the refusal makes it be read anew.
    text(&grant).await;
    "new".clone_into(&mut known.lock().expect("not poisoned"));
    world.desk.script([Trouble::Refuse("invalid_client")]);
    advance(Duration::from_secs(2)).await;
    assert_eq!(text(&grant).await, "access-2");
    assert_eq!(world.desk.last_authorization(), "Basic Z2F0ZXdheTpuZXc=");
}

#[tokio::test(start_paused = true)]
async fn answers_that_make_no_sense_are_errors_that_quote_nothing() {
    let world = World::new();
    let grant = world.client();
    for (answer, expected) in [
        ("s3cret", ErrorKind::ServerError),
        (r#"{"access_token":"s3cret"}"#, ErrorKind::Unsupported),
        (r#"{"access_token":"s3cret","token_type":"mac"}"#, ErrorKind::Unsupported),
        (r#"{"access_token":{"s3cret":1},"token_type":"bearer"}"#, ErrorKind::ServerError),
        (r#"{"access_token":"","token_type":"bearer"}"#, ErrorKind::ServerError),
    ] {
        world.desk.script([Trouble::Answer(answer)]);
        assert_eq!(refusal(&grant).await.kind(), expected, "{answer}");
        advance(Duration::from_secs(300)).await;
    }
    world.desk.script([Trouble::Refuse("s3cret"), Trouble::Refuse("invalid_scope")]);
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::AuthenticationFailed);
    advance(Duration::from_secs(300)).await;
    let error = refusal(&grant).await;
    assert!(error.to_string().contains("error=invalid_scope"), "{error}");
    assert!(world.ends().is_empty(), "an operator helps, and the grant goes on by itself");
    advance(Duration::from_secs(300)).await;
    world.desk.script([Trouble::Answer(r#"{"access_token":"a","token_type":"Bearer"}"#)]);
    assert_eq!(text(&grant).await, "a", "no life is said: an hour");
    assert!(grant.status().await.expect("a row").expires_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_consent_has_a_state_and_a_challenge_and_works_once() {
    let world = World::new();
    let grant = world.person();
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::AuthenticationFailed);
    let begun = grant.begin().await.expect("a consent");
    let url = begun.url();
    assert!(
        url.starts_with("https://id.test/auth?x=1&response_type=code&client_id=gateway&"),
        "{url}"
    );
    for part in [
        "redirect_uri=https%3A%2F%2Fhost.test%2Fback",
        "code_challenge_method=S256",
        "&prompt=consent&scope=contacts",
        &format!("state={}", begun.state()),
    ] {
        assert!(url.contains(part), "{part} is missing in {url}");
    }
    assert!(!format!("{begun:?}").contains(begun.state()));

    let code = Secret::new("the code");
    let forged = grant.finish(&code, "forged", None).await.expect_err("nobody began it");
    assert_eq!((forged.kind(), world.desk.count()), (ErrorKind::PermissionDenied, 0));
    // It may end in another process.
    world.person().finish(&code, begun.state(), None).await.expect("it ends well");
    let form = world.desk.last();
    let verifier = form.split("code_verifier=").nth(1).expect("a verifier");
    assert_eq!(verifier.len(), 43);
    assert!(
        form.starts_with("grant_type=authorization_code&code=the%20code&redirect_uri="),
        "{form}"
    );
    assert_eq!(text(&grant).await, "access-1");
    let again = grant.finish(&code, begun.state(), None).await.expect_err("it was used");
    assert_eq!((again.kind(), world.desk.count()), (ErrorKind::PermissionDenied, 1));

    let late = grant.begin().await.expect("a consent");
    sleep(Duration::from_secs(600)).await;
    let over = grant.finish(&code, late.state(), None).await.expect_err("ten minutes are over");
    assert_eq!(over.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_consent_that_another_issuer_answered_is_refused_and_its_code_kept() {
    let world = World::new();
    let builder = OAuth::authorization_code("crm", TOKEN, "gateway");
    let builder = builder.consent("https://id.test/auth", "https://host.test/back");
    let grant = world.build(builder.issuer("https://id.test"));
    let begun = grant.begin().await.expect("a consent");
    let code = Secret::new("code");
    for other in [None, Some(""), Some("https://evil.test"), Some("https://id.test/")] {
        let mixed_up = grant.finish(&code, begun.state(), other).await.expect_err("not ours");
        let said = (mixed_up.kind(), mixed_up.happened(), world.desk.count());
        assert_eq!(said, (ErrorKind::PermissionDenied, Happened::No, 0), "{other:?}");
    }
    // Whoever forges an answer does not use the consent up.
    let ended = grant.finish(&code, begun.state(), Some("https://id.test")).await;
    ended.expect("it ends well");
    assert_eq!(text(&grant).await, "access-1");
}

#[tokio::test(start_paused = true)]
async fn a_consent_beats_a_refresh_that_is_under_way() {
    let world = World::new();
    let (grant, other) = (world.authorised().await, world.person());
    let begun = other.begin().await.expect("a consent");
    let code = Secret::new("code");
    let (token, done) = tokio::join!(grant.token(), async {
        sleep(Duration::from_millis(500)).await;
        other.finish(&code, begun.state(), None).await
    });
    done.expect("it ends well");
    token.expect("a token");
    assert_eq!(text(&other).await, "access-2", "the consent's");
    advance(Duration::from_secs(3300)).await;
    assert_eq!(text(&grant).await, "access-3");
    assert!(world.desk.last().ends_with("refresh_token=refresh-2"), "{}", world.desk.last());
}

#[tokio::test(start_paused = true)]
async fn tenants_have_grants_of_their_own_under_the_same_name() {
    let world = World::new();
    text(&world.client()).await;
    let other = OAuth::client_credentials("crm", TOKEN, "gateway").build(
        world.desk.clone(),
        Secrets::builder().build().expect("no names"),
        Arc::clone(&world.store),
        TenantId::new("other").expect("a name"),
        world.env.clone(),
    );
    assert_eq!(text(&other.expect("a grant")).await, "access-2");
    assert_eq!(text(&world.client()).await, "access-1");
}

#[tokio::test(start_paused = true)]
async fn a_grant_of_another_client_is_not_used() {
    let world = World::new();
    let grant = world.authorised().await;
    text(&grant).await;
    let elsewhere = "https://evil.test/token";
    let other = world.build(OAuth::authorization_code("crm", elsewhere, "gateway"));
    assert_eq!(refusal(&other).await.kind(), ErrorKind::AuthenticationFailed);
    assert_eq!(world.desk.count(), 1, "no refresh token goes to another server");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_live_for_no_time_do_not_turn_into_a_loop() {
    let world = World::new();
    world.desk.lifetime(0);
    let grant = world.client();
    assert_eq!(text(&grant).await, "access-1");
    assert_eq!(world.desk.count(), 1);
}

#[test]
fn plain_http_to_another_machine_is_refused() {
    let world = |uri: &str| {
        let env = Env::system();
        let secrets = Secrets::builder().build().expect("no names");
        let store: SharedStore = Arc::new(MemoryStore::new(env.clock()));
        let acme = TenantId::new("acme").expect("a name");
        let builder = OAuth::client_credentials("crm", uri, "gateway");
        builder.build(Desk::new(), secrets, store, acme, env).map(|_grant| ())
    };
    assert!(world("http://127.0.0.1:8080/token").is_ok());
    let error = world("http://id.test/token").expect_err("it would be read on its way");
    assert_eq!(error.kind(), ErrorKind::ValidationError);
}
