//! Hours of callers that come and go, replicas that take turns, and a server with bad days.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::{
    Error, ErrorKind, Secret, TenantId,
    store::{MemoryStore, SharedStore},
};
use openclaw_skills::{
    auth::{AuthEvent, OAuth},
    secrets::Secrets,
};
use openclaw_testkit::env::{SeededRng, test_env};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::desk::{Desk, Trouble};

const REPLICAS: usize = 3;
const CALLERS: u32 = 400;

type Events = Arc<Mutex<Vec<AuthEvent>>>;

/// Three replicas of one grant.
async fn replicas(seed: u64, desk: &Desk, events: &Events) -> Vec<OAuth> {
    let env = test_env(seed);
    let store: SharedStore = Arc::new(MemoryStore::new(env.clock()));
    let grant = |_| {
        let events = Arc::clone(events);
        let builder = OAuth::authorization_code("crm", "https://id.test/token", "gateway")
            .on_event(move |event| events.lock().expect("not poisoned").push(event.clone()));
        let (secrets, acme) = (Secrets::builder().build(), TenantId::new("acme"));
        let (secrets, acme) = (secrets.expect("no names"), acme.expect("a name"));
        let (store, env) = (Arc::clone(&store), env.clone());
        builder.build(desk.clone(), secrets, store, acme, env).expect("a grant")
    };
    let grants: Vec<OAuth> = (0..REPLICAS).map(grant).collect();
    grants[0].adopt(Secret::new("refresh-0")).await.expect("it is kept");
    grants
}

/// Callers over about ten hours; what each got, and whether it was good then.
async fn storm(seed: u64) -> (Desk, Events, Vec<Result<bool, ErrorKind>>) {
    let (desk, events, rng) = (Desk::new(), Events::default(), SeededRng::new(seed));
    let grants = replicas(seed, &desk, &events).await;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        if rng.chance(0.02) {
            let bad =
                [Trouble::Status(503, None), Trouble::NoConnection, Trouble::Status(429, Some(9))];
            desk.script(rng.pick(&bad).cloned());
        }
        let grant = grants[usize::try_from(rng.below(3)).expect("small")].clone();
        let (desk, patience) = (desk.clone(), Duration::from_millis(rng.below(2_500)));
        callers.spawn(async move {
            let asked = timeout(patience, grant.token()).await.ok()?;
            Some(asked.map(|token| desk.accepts(token.expose())).map_err(|e: Error| e.kind()))
        });
        // Crowds, and long silences.
        let pause = if rng.chance(0.8) { rng.below(500) } else { rng.below(900_000) };
        sleep(Duration::from_millis(pause)).await;
    }
    let outcomes = callers.join_all().await.into_iter().flatten().collect();
    for grant in &grants {
        // A failure is an outcome too.
        let _settled = grant.settle().await;
    }
    (desk, events, outcomes)
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_and_goes_each_refresh_token_is_used_once() {
    let (mut good, mut impatient, mut failed) = (0, 0, 0);
    for seed in 0..50 {
        let (desk, events, outcomes) = storm(seed).await;
        assert_eq!(desk.side_by_side(), 1, "seed {seed}: one request at a time");
        let events = events.lock().expect("not poisoned").clone();
        let over = |event: &AuthEvent| matches!(event, AuthEvent::NeedsReauth { .. });
        assert!(!events.iter().any(over), "seed {seed}: {events:?}");
        assert!(!outcomes.contains(&Ok(false)), "seed {seed}: a token that is over");
        impatient += CALLERS as usize - outcomes.len();
        good += outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        failed += outcomes.iter().filter(|outcome| outcome.is_err()).count();
    }
    assert!(good > 1_000 && impatient > 100 && failed > 10, "{good} {impatient} {failed}");
}
