//! Ready-made stacks: what their settings do, and how they change while they run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, Happened, TenantId,
    middleware::{
        breaker::State,
        stack::{Kind, Resilience, ResilienceConfig, StackLayer},
    },
    skill::{SkillAnswer, SkillManifest},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

const S: Duration = Duration::from_secs(1);

type Stack = StackLayer<Arc<Value>>;

fn config(json: &str) -> ResilienceConfig {
    ResilienceConfig::from_json(json).unwrap()
}

fn call(tenant: &str) -> Call<Arc<Value>> {
    let manifest = SkillManifest::new("crm".parse().unwrap(), "1.0.0").effect(Effect::Pure);
    Call::skill(Context::new(TenantId::new(tenant).unwrap()), &manifest, Arc::default())
}

/// Asks a remote that is down; tells the kind of the answer and how often it was asked.
async fn ask_down(stack: &Stack, tenant: &str) -> (ErrorKind, u32) {
    let asked = AtomicU32::new(0);
    let leaf = service_fn(|_: Call<Arc<Value>>| {
        asked.fetch_add(1, Ordering::Relaxed);
        let e = Error::new(ErrorKind::Unavailable, "down").with_happened(Happened::No);
        std::future::ready(Err::<SkillAnswer, _>(e))
    });
    let e = stack.layer(leaf).oneshot(call(tenant)).await.unwrap_err();
    (e.kind(), asked.load(Ordering::Relaxed))
}

async fn ask_well(stack: &Stack, tenant: &str) -> Result<SkillAnswer, Error> {
    let leaf = service_fn(async |_: Call<Arc<Value>>| Ok(SkillAnswer::done(json!("ok"))));
    stack.layer(leaf).oneshot(call(tenant)).await
}

async fn ask_silent(stack: &Stack) -> (ErrorKind, Duration) {
    let leaf =
        service_fn(|_: Call<Arc<Value>>| std::future::pending::<Result<SkillAnswer, Error>>());
    let began = Instant::now();
    let e = stack.layer(leaf).oneshot(call("acme")).await.unwrap_err();
    (e.kind(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_built_in_stack_retries_times_out_and_breaks() {
    let stack = Resilience::default().skill("crm");
    assert_eq!(
        ask_down(&stack, "acme").await,
        (ErrorKind::Unavailable, 4),
        "one call, three retries"
    );
    // The fifth failure in a row opens it.
    assert_eq!(ask_down(&stack, "acme").await, (ErrorKind::CircuitOpen, 1));
    let breaker = stack.breaker(&TenantId::new("acme").unwrap()).unwrap();
    assert_eq!(breaker.state(), State::Open);
    ask_well(&stack, "globex").await.expect("another tenant's breaker is another one");
    let silent = Resilience::default().skill("crm");
    let (kind, took) = ask_silent(&silent).await;
    assert_eq!(kind, ErrorKind::Timeout);
    assert!(took <= 30 * S, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_name_is_the_same_state() {
    let resilience = Resilience::new(config(
        r#"{ "skill": { "default": { "retry": "off", "breaker": { "consecutive_failures": 1 } } } }"#,
    ))
    .unwrap();
    assert_eq!(ask_down(&resilience.skill("crm"), "acme").await.0, ErrorKind::Unavailable);
    assert_eq!(ask_down(&resilience.skill("crm"), "acme").await, (ErrorKind::CircuitOpen, 0));
    assert_eq!(ask_down(&resilience.skill("erp"), "acme").await.0, ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn what_is_off_lets_everything_pass() {
    let off = r#"{ "skill": { "default": { "total_timeout": "off", "retry": "off",
        "rate_limit": "off", "concurrency": "off", "breaker": "off", "attempt_timeout": "off" } } }"#;
    let stack = Resilience::new(config(off)).unwrap().skill("crm");
    for _ in 0..100 {
        assert_eq!(ask_down(&stack, "acme").await, (ErrorKind::Unavailable, 1));
    }
    for _ in 0..1_000 {
        ask_well(&stack, "acme").await.expect("no limit");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_settings_and_keeps_state() {
    let first = r#"{ "skill": { "crm": { "retry": "off", "breaker": { "consecutive_failures": 1 },
        "rate_limit": { "calls": 10, "per": "1h" } } } }"#;
    let resilience = Resilience::new(config(first)).unwrap();
    let stack = resilience.skill("crm");
    for _ in 0..6 {
        ask_well(&stack, "globex").await.expect("within the quota");
    }
    assert_eq!(ask_down(&stack, "acme").await.0, ErrorKind::Unavailable);
    let second = r#"{ "skill": { "crm": { "retry": { "attempts": 2 },
        "breaker": { "consecutive_failures": 9 }, "attempt_timeout": "2s",
        "rate_limit": { "calls": 10, "per": "1h" } } } }"#;
    resilience.reload(config(second)).unwrap();
    let kind = ask_down(&stack, "acme").await.0;
    assert_eq!(kind, ErrorKind::CircuitOpen, "it is open still");
    for _ in 0..4 {
        ask_well(&stack, "globex").await.expect("what is left of the quota");
    }
    let e = ask_well(&stack, "globex").await.expect_err("six and four are ten");
    assert_eq!(e.kind(), ErrorKind::RateLimited);
    assert_eq!(ask_down(&stack, "initech").await, (ErrorKind::Unavailable, 2), "two tries now");
    assert_eq!(resilience.config(), config(second));
}

fn breaking(breaker: &str) -> ResilienceConfig {
    config(&format!(r#"{{ "skill": {{ "crm": {{ "retry": "off", "breaker": {breaker} }} }} }}"#))
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_switched_off_lets_everything_pass_and_begins_anew() {
    let on = || breaking(r#"{ "consecutive_failures": 5 }"#);
    let resilience = Resilience::new(on()).unwrap();
    let stack = resilience.skill("crm");
    for _ in 0..5 {
        ask_down(&stack, "acme").await;
    }
    assert_eq!(ask_down(&stack, "acme").await, (ErrorKind::CircuitOpen, 0));
    resilience.reload(breaking(r#""off""#)).unwrap();
    for tenant in ["acme", "globex"] {
        for _ in 0..20 {
            assert_eq!(ask_down(&stack, tenant).await, (ErrorKind::Unavailable, 1), "{tenant}");
        }
    }
    resilience.reload(on()).unwrap();
    for tenant in ["acme", "globex", "initech"] {
        for _ in 0..5 {
            assert_eq!(ask_down(&stack, tenant).await, (ErrorKind::Unavailable, 1), "{tenant}");
        }
        assert_eq!(ask_down(&stack, tenant).await, (ErrorKind::CircuitOpen, 0), "{tenant}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_forced_stays_so_when_a_breaker_is_switched() {
    let resilience = Resilience::new(breaking("{}")).unwrap();
    let stack = resilience.skill("crm");
    ask_well(&stack, "acme").await.unwrap();
    let breaker = stack.breaker(&TenantId::new("acme").unwrap()).unwrap();
    let switched = || {
        [r#""off""#, "{}"].map(|setting| {
            resilience.reload(breaking(setting)).unwrap();
            breaker.state()
        })
    };
    assert_eq!(switched(), [State::Disabled, State::Closed]);
    breaker.force_open();
    assert_eq!(switched(), [State::ForcedOpen; 2]);
    breaker.disable();
    assert_eq!(switched(), [State::Disabled; 2]);
    resilience.reload(breaking(r#""off""#)).unwrap();
    breaker.force_close();
    assert_eq!(breaker.state(), State::Disabled, "nobody's any more, and off");
    assert_eq!(switched(), [State::Disabled, State::Closed]);
}

/// A stack that lets calls wait, whose breaker is open.
async fn open_behind_a_limit(max_wait: &str) -> Stack {
    let json = format!(
        r#"{{ "skill": {{ "crm": {{ "retry": "off", "breaker": {{ "consecutive_failures": 1 }},
            "rate_limit": {{ "calls": 1, "per": "10s", "max_wait": "{max_wait}" }} }} }} }}"#
    );
    let stack = Resilience::new(config(&json)).unwrap().skill("crm");
    assert_eq!(ask_down(&stack, "acme").await, (ErrorKind::Unavailable, 1));
    stack
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_place_at_an_open_breaker() {
    for max_wait in ["20s", "0s"] {
        let stack = open_behind_a_limit(max_wait).await;
        let began = Instant::now();
        for _ in 0..5 {
            let e = ask_well(&stack, "acme").await.expect_err("it is open");
            assert_eq!((e.kind(), began.elapsed()), (ErrorKind::CircuitOpen, Duration::ZERO));
            assert!(e.retry_after().is_some_and(|after| after > 50 * S), "{e}");
        }
        assert_eq!(stack.snapshot().rate_limit.waiting, 0);
        let breaker = stack.breaker(&TenantId::new("acme").unwrap()).unwrap();
        assert_eq!(breaker.snapshot().refused, 5, "they are the breaker's refusals");
        breaker.force_close();
        tokio::time::sleep(10 * S).await;
        ask_well(&stack, "acme").await.expect("no token was spent on them");
        ask_well(&stack, "globex").await.expect("another tenant");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_hears_when_the_breaker_has_opened() {
    let stack = open_behind_a_limit("20s").await;
    let breaker = stack.breaker(&TenantId::new("acme").unwrap()).unwrap();
    breaker.force_close();
    let waits = ask_well(&stack, "acme");
    let opens = async {
        tokio::time::sleep(S).await;
        breaker.force_open();
    };
    let (answer, ()) = tokio::join!(waits, opens);
    assert_eq!(answer.expect_err("it is open").kind(), ErrorKind::CircuitOpen);
}

fn limited(rate: &str) -> ResilienceConfig {
    config(&format!(r#"{{ "skill": {{ "crm": {{ "retry": "off", "rate_limit": {rate} }} }} }}"#))
}

#[tokio::test(start_paused = true)]
async fn a_reload_to_a_wider_quota_is_felt_at_once() {
    let resilience = Resilience::new(limited(r#"{ "calls": 1000, "per": "1h" }"#)).unwrap();
    let stack = resilience.skill("crm");
    for _ in 0..1_000 {
        ask_well(&stack, "acme").await.expect("within the quota");
    }
    resilience.reload(limited(r#"{ "calls": 100, "per": "1s" }"#)).unwrap();
    let e = ask_well(&stack, "acme").await.expect_err("all are used up");
    assert_eq!(e.retry_after(), Some(S / 100));
    resilience.reload(limited(r#"{ "calls": 2000, "per": "1h" }"#)).unwrap();
    for _ in 0..1_900 {
        ask_well(&stack, "acme").await.expect("the quota grew by so many");
    }
    ask_well(&stack, "acme").await.expect_err("and is used up");
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_how_many_keys_are_told_apart() {
    let keys = |n| limited(&format!(r#"{{ "calls": 1, "per": "1h", "keys": {n} }}"#));
    let resilience = Resilience::new(keys(1)).unwrap();
    let stack = resilience.skill("crm");
    ask_well(&stack, "a").await.expect("it has a limit of its own");
    ask_well(&stack, "b").await.expect("it has that of all others");
    ask_well(&stack, "c").await.expect_err("that is used up");
    resilience.reload(keys(3)).unwrap();
    ask_well(&stack, "c").await.expect("there is room for it now");
    ask_well(&stack, "d").await.expect("and for it");
    ask_well(&stack, "e").await.expect_err("and no more");
    ask_well(&stack, "a").await.expect_err("who was told apart is so still");
    resilience.reload(keys(1)).unwrap();
    ask_well(&stack, "c").await.expect_err("who is on hand stays");
    tokio::time::sleep(3_600 * S).await;
    ask_well(&stack, "f").await.expect("it has that of all others");
    ask_well(&stack, "g").await.expect("it has the place of those whose time was over");
    assert_eq!(stack.snapshot().rate_limit.keys, 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_an_adaptive_limit_has_found() {
    let json = r#"{ "skill": { "crm": { "retry": "off", "breaker": "off",
        "concurrency": { "limit": 64, "adaptive_from": 4 } } } }"#;
    let resilience = Resilience::new(config(json)).unwrap();
    let stack = resilience.skill("crm");
    let busy = async |_: Call<Arc<Value>>| {
        Err::<SkillAnswer, _>(Error::new(ErrorKind::Overloaded, "too much"))
    };
    for _ in 0..10 {
        stack.layer(service_fn(busy)).oneshot(call("acme")).await.expect_err("too much");
    }
    let found = stack.snapshot().concurrency.limit;
    assert!(found < 32, "{found}");
    resilience.reload(config(json)).unwrap();
    assert_eq!(stack.snapshot().concurrency.limit, found);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_reload_changes_nothing_and_says_why() {
    let resilience = Resilience::default();
    let stack = resilience.skill("crm");
    let mut wrong = ResilienceConfig::default();
    let mut settings = Kind::Skill.settings();
    if let Some(openclaw_core::middleware::stack::Switch::On(retry)) = &mut settings.retry {
        retry.attempts = Some(0);
    }
    wrong.skill.insert("crm".into(), settings);
    let e = resilience.reload(wrong).expect_err("no attempt at all");
    assert!(e.message().starts_with("skill.crm.retry.attempts: "), "{e}");
    assert_eq!(resilience.config(), ResilienceConfig::default());
    assert_eq!(ask_down(&stack, "acme").await.1, 4);
}

/// What a breaker would not take is refused before any stack is asked.
#[tokio::test(start_paused = true)]
async fn a_window_that_no_breaker_takes_is_refused_by_its_path() {
    for (setting, value) in [("window_calls", "2000000"), ("window_time", r#""5ms""#)] {
        let breaker = format!(r#"{{ "{setting}": {value}, "consecutive_failures": 0 }}"#);
        let mut wrong = ResilienceConfig::default();
        let mut settings = Kind::Skill.settings();
        settings.breaker = Some(serde_json::from_str(&breaker).unwrap());
        wrong.skill.insert("crm".into(), settings);
        let path = format!("skill.crm.breaker.{setting}: ");
        let e = Resilience::new(wrong.clone()).expect_err("no such window");
        assert!(e.message().starts_with(&path), "{e}");
        let e = Resilience::default().reload(wrong).expect_err("no such window");
        assert!(e.message().starts_with(&path), "{e}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_family_has_its_stacks_and_tells_of_them() {
    let resilience = Resilience::default();
    drop(resilience.skill("crm"));
    drop(resilience.send("mail"));
    drop(resilience.http("shop.test"));
    drop(resilience.admission("web"));
    drop(resilience.agent("desk"));
    let seen: Vec<_> =
        resilience.snapshot().into_iter().map(|(kind, name, _)| (kind, name)).collect();
    let names = ["crm", "mail", "shop.test", "web", "desk"];
    assert_eq!(seen, Kind::ALL.into_iter().zip(names.map(Into::into)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn names_are_bounded() {
    let resilience = Resilience::default();
    for n in 0..12_000 {
        drop(resilience.skill(&n.to_string()));
    }
    assert!(resilience.snapshot().len() <= 10_001);
}

mod laws {
    use std::sync::Arc;

    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};
    use serde_json::Value;

    use super::{Resilience, S};

    layer_laws!(
        "Stack",
        layer::on::<Call<Arc<Value>>, _>(|| {
            let json = r#"{ "skill": { "default": { "concurrency": "off" } } }"#;
            Resilience::new(super::config(json)).unwrap().skill("law")
        })
        .attempts(4)
        .refuses_behind_failures()
        .patience(S / 4)
    );
}
