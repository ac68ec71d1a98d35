//! Grants beside a store that refuses: tokens that came are not lost, valid ones are used.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    ErrorKind, Secret, TenantId,
    records::{AuditAction, AuditLog},
    store::SharedStore,
};
use openclaw_skills::auth::OAuth;
use openclaw_testkit::fault::{FaultStore, Plan};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::{
    desk::Trouble,
    oauth_world::{TOKEN, World, refusal, text},
};

const HALF: Duration = Duration::from_millis(500);

/// A world whose store meets this plan.
fn world(plan: &Plan) -> World {
    let mut world = World::new();
    let below: SharedStore = Arc::clone(&world.store);
    world.store = Arc::new(FaultStore::new(below, plan.clone()));
    world
}

#[tokio::test(start_paused = true)]
async fn a_consent_goes_on_when_whoever_ends_it_leaves() {
    let world = World::new();
    let grant = world.person();
    let begun = grant.begin().await.expect("a consent");
    let code = Secret::new("code");
    // The server has served the request, and its answer is on its way.
    assert!(timeout(HALF, grant.finish(&code, begun.state(), None)).await.is_err());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(world.desk.count(), 1);
    assert_eq!(text(&world.person()).await, "access-1", "what the server issued is stored");
}

#[tokio::test(start_paused = true)]
async fn a_consent_under_way_is_ended_before_the_process_stops() {
    let world = World::new();
    let grant = world.person();
    let begun = grant.begin().await.expect("a consent");
    let code = Secret::new("code");
    assert!(timeout(HALF, grant.finish(&code, begun.state(), None)).await.is_err());
    grant.settle().await.expect("it ends well");
    drop(grant);
    assert_eq!(text(&world.person()).await, "access-1");
    assert_eq!(world.desk.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_consent_that_the_store_does_not_take_is_kept_and_stored_later() {
    let plan = Plan::default();
    let world = world(&plan);
    let person = || {
        let builder = OAuth::authorization_code("crm", TOKEN, "gateway").audited();
        world.build(builder.consent("https://id.test/auth", "https://host.test/back"))
    };
    let grant = person();
    let begun = grant.begin().await.expect("a consent");
    plan.fail("oauth decide");
    let failed =
        grant.finish(&Secret::new("code"), begun.state(), None).await.expect_err("no store");
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::Unavailable, "stored before used");
    plan.heal();
    assert_eq!(text(&grant).await, "access-1");
    assert_eq!((text(&person()).await.as_str(), world.desk.count()), ("access-1", 1));
    let trail = AuditLog::new(Arc::clone(&world.store), TenantId::new("acme").expect("a name"));
    let entries = trail.entries().await.expect("entries");
    let said: Vec<_> = entries.iter().map(|entry| &entry.action).collect();
    assert_eq!(said, [&AuditAction::GrantAuthorised]);
}

#[tokio::test(start_paused = true)]
async fn a_consent_that_was_kept_takes_over_a_grant_that_had_ended() {
    let plan = Plan::default();
    let world = world(&plan);
    let grant = world.authorised().await;
    text(&grant).await;
    world.desk.revoke();
    advance(Duration::from_secs(3600)).await;
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::AuthenticationFailed);
    let begun = grant.begin().await.expect("a consent");
    plan.fail("oauth decide");
    grant.finish(&Secret::new("code"), begun.state(), None).await.expect_err("no store");
    plan.heal();
    assert_eq!(text(&grant).await, "access-2");
    assert_eq!(text(&world.person()).await, "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_consent_that_was_kept_does_not_undo_a_later_one() {
    let plan = Plan::default();
    let world = world(&plan);
    let (grant, other) = (world.person(), world.person());
    let (one, two) = (grant.begin().await.expect("one"), grant.begin().await.expect("two"));
    plan.fail("oauth decide");
    grant.finish(&Secret::new("code"), one.state(), None).await.expect_err("no store");
    plan.heal();
    advance(Duration::from_secs(60)).await;
    other.finish(&Secret::new("code"), two.state(), None).await.expect("it is stored");
    assert_eq!(text(&grant).await, "access-2", "the later one's");
    assert_eq!(text(&other).await, "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_is_used_while_the_store_takes_no_writes() {
    for label in ["oauth claim", "oauth tokens"] {
        let plan = Plan::default();
        let world = world(&plan);
        let (grant, other) = (world.authorised().await, world.person());
        text(&grant).await;
        plan.fail(label);
        advance(Duration::from_secs(3300)).await;
        assert_eq!(text(&grant).await, "access-1", "{label}");
        let began = Instant::now();
        assert_eq!(text(&grant).await, "access-1", "{label}");
        assert_eq!(began.elapsed(), Duration::ZERO, "not every caller waits for the store");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(text(&grant).await, "access-1", "{label}");
        if label == "oauth claim" {
            assert_eq!(text(&other).await, "access-1", "that of the row, for who has none at hand");
        }
        advance(Duration::from_secs(300)).await;
        assert_eq!(refusal(&grant).await.kind(), ErrorKind::Unavailable, "{label}: it is over");
        plan.heal();
        assert_eq!(text(&grant).await, "access-2", "{label}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_not_used_because_the_store_takes_no_writes() {
    let plan = Plan::default();
    let world = world(&plan);
    let grant = world.authorised().await;
    let first = grant.token().await.expect("a token");
    plan.fail("oauth claim");
    advance(Duration::from_secs(60)).await;
    grant.refuse(&first);
    assert_eq!(refusal(&grant).await.kind(), ErrorKind::Unavailable);
    world.desk.script([Trouble::NoConnection]);
    plan.heal();
    refusal(&grant).await;
    advance(Duration::from_secs(1)).await;
    assert_eq!(text(&grant).await, "access-2");
}
