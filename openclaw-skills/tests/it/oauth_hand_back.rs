//! Grants that are handed back: the server revokes their tokens, and nobody has them any more.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    ErrorKind, Happened, Secret, TenantId,
    records::{AuditAction, AuditLog},
};
use openclaw_skills::auth::{GrantState, OAuth, ReauthReason};
use openclaw_testkit::fault::{FaultStore, Plan};
use tokio::time::sleep;

use crate::{
    desk::Trouble,
    oauth_world::{TOKEN, World, refusal, text},
};

const REVOKE: &str = "https://id.test/revoke";

/// A process with a person's grant that can be handed back.
fn person(world: &World) -> OAuth {
    let builder = OAuth::authorization_code("crm", TOKEN, "gateway").revocation(REVOKE);
    world.build(builder.audited())
}

async fn authorised(world: &World) -> OAuth {
    let grant = person(world);
    grant.adopt(Secret::new("refresh-0")).await.expect("it is kept");
    grant
}

async fn state(grant: &OAuth) -> GrantState {
    grant.status().await.expect("a row").state
}

const OVER: GrantState = GrantState::NeedsReauth { why: ReauthReason::NeverAuthorised };

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_handed_back_is_revoked_and_forgotten() {
    let world = World::new();
    let grant = authorised(&world).await;
    assert_eq!(text(&grant).await, "access-1");
    assert!(world.desk.accepts("access-1") && world.desk.renews("refresh-1"));
    grant.hand_back().await.expect("it is taken back");
    assert!(!world.desk.accepts("access-1") && !world.desk.renews("refresh-1"));
    let forms = [
        "token=refresh-1&token_type_hint=refresh_token",
        "token=access-1&token_type_hint=access_token",
    ];
    assert_eq!(world.desk.since(1), forms);
    let header = world.desk.last_authorization();
    assert_eq!(header, "Basic Z2F0ZXdheTpjbGllbnQlMjBzM2NyZXQ=");
    for process in [&grant, &person(&world)] {
        assert_eq!(state(process).await, OVER);
        assert_eq!(refusal(process).await.kind(), ErrorKind::AuthenticationFailed);
    }
    let trail = AuditLog::new(Arc::clone(&world.store), TenantId::new("acme").expect("a name"));
    let last = trail.entries().await.expect("entries").pop().expect("an entry");
    assert_eq!((last.action, &*last.note), (AuditAction::GrantEnded, "handed back"));
    grant.hand_back().await.expect("there is nothing left");
    assert_eq!(world.desk.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_grant_of_the_clients_own_is_handed_back_too() {
    let world = World::new();
    let client = OAuth::client_credentials("crm", TOKEN, "gateway").revocation(REVOKE);
    let grant = world.build(client);
    assert_eq!(text(&grant).await, "access-1");
    grant.hand_back().await.expect("it is taken back");
    assert_eq!(world.desk.since(1), ["token=access-1&token_type_hint=access_token"]);
    assert!(!world.desk.accepts("access-1"));
    assert_eq!(text(&grant).await, "access-2", "it needs no person");
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_down_the_tokens_stay() {
    let world = World::new();
    let grant = authorised(&world).await;
    text(&grant).await;
    for (trouble, kind, happened) in [
        (vec![Trouble::NoConnection], ErrorKind::Unavailable, Happened::No),
        (vec![Trouble::Status(503, Some(7))], ErrorKind::Unavailable, Happened::Maybe),
        // The refresh token is gone by then.
        (vec![Trouble::Answer(""), Trouble::NoConnection], ErrorKind::Unavailable, Happened::Maybe),
        (vec![Trouble::Refuse("invalid_request")], ErrorKind::AuthenticationFailed, Happened::No),
    ] {
        world.desk.script(trouble.clone());
        let error = grant.hand_back().await.expect_err("it was not taken back");
        assert_eq!((error.kind(), error.happened()), (kind, happened), "{trouble:?}");
        assert!(error.to_string().contains("grant=crm"), "{error}");
        assert_eq!(
            (text(&grant).await.as_str(), state(&grant).await),
            ("access-1", GrantState::Ready)
        );
    }
    grant.hand_back().await.expect("it is taken back");
    assert!(!world.desk.accepts("access-1"));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_asks_for_meanwhile_is_handed_back_as_well() {
    let world = World::new();
    let (grant, other) = (authorised(&world).await, person(&world));
    let (token, done) = tokio::join!(other.token(), async {
        sleep(Duration::from_millis(500)).await;
        // What is asked now is answered before the request that is under way.
        world.desk.answer_at_once();
        grant.hand_back().await
    });
    assert_eq!(token.expect("a token").expose(), "access-1");
    done.expect("it is taken back");
    assert!(!world.desk.accepts("access-1") && !world.desk.renews("refresh-1"));
    assert_eq!(state(&other).await, OVER);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_could_not_be_stored_are_handed_back_as_well() {
    let mut world = World::new();
    let plan = Plan::default();
    world.store = Arc::new(FaultStore::new(Arc::clone(&world.store), plan.clone()));
    let grant = authorised(&world).await;
    plan.fail_next("oauth tokens", 5);
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::Unavailable);
    grant.hand_back().await.expect("it is taken back");
    assert!(!world.desk.accepts("access-1") && !world.desk.renews("refresh-1"));
}

#[tokio::test(start_paused = true)]
async fn an_access_token_that_can_not_be_revoked_keeps_nothing_back() {
    let world = World::new();
    let grant = authorised(&world).await;
    text(&grant).await;
    world.desk.script([Trouble::Answer(""), Trouble::Refuse("unsupported_token_type")]);
    grant.hand_back().await.expect("the refresh token is taken back");
    assert_eq!(state(&grant).await, OVER);
}

#[tokio::test(start_paused = true)]
async fn without_a_place_to_revoke_tokens_nothing_is_said_to_be_revoked() {
    let world = World::new();
    let grant = world.authorised().await;
    text(&grant).await;
    let error = grant.hand_back().await.expect_err("nowhere to go");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::Unsupported, Happened::No));
    assert_eq!((world.desk.count(), text(&grant).await.as_str()), (1, "access-1"));
}

#[tokio::test(start_paused = true)]
async fn another_clients_tokens_are_not_shown_to_this_server() {
    let world = World::new();
    text(&authorised(&world).await).await;
    let elsewhere = OAuth::authorization_code("crm", "https://evil.test/token", "gateway");
    let other = world.build(elsewhere.revocation("https://evil.test/revoke"));
    other.hand_back().await.expect("it has nothing");
    assert_eq!((world.desk.count(), text(&person(&world)).await.as_str()), (1, "access-1"));
}
