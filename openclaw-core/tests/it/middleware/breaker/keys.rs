//! A breaker for each key: apart from each other, and bounded.

use openclaw_core::{
    Call, Error, ErrorKind,
    middleware::breaker::{
        Breaker, BreakerBuilder, BreakerConfig, BreakerLayer, PerKey, State, Window,
    },
    policy::ByHead,
};
use tokio::time::advance;
use tower::{Layer, ServiceExt};

use super::leaf::{Leaf, Ready, request, s};

type Key = fn(&Call<u64>) -> u64;

fn keyed(builder: BreakerBuilder) -> BreakerLayer<ByHead, PerKey<u64, Key>> {
    builder.build().unwrap().per_key((|call| *call.payload()) as Key)
}

type Service = Breaker<Ready, ByHead, PerKey<u64, Key>>;

async fn call(service: &Service, key: u64) -> Result<(), Error> {
    service.clone().oneshot(request().map(|_| key)).await
}

async fn fail(leaf: &Leaf, service: &Service, key: u64, times: u32) {
    leaf.told().fails = Some(ErrorKind::Unavailable);
    for _ in 0..times {
        call(service, key).await.expect_err("it fails");
    }
    leaf.told().fails = None;
}

#[tokio::test(start_paused = true)]
async fn one_keys_failures_are_not_anothers() {
    let layer = keyed(BreakerLayer::builder("crm"));
    let (leaf, breakers) = (Leaf::default(), layer.breakers());
    let service = layer.layer(leaf.service());
    fail(&leaf, &service, 1, 5).await;
    assert_eq!(call(&service, 1).await.expect_err("open").kind(), ErrorKind::CircuitOpen);
    call(&service, 2).await.expect("its own breaker is closed");
    assert_eq!(breakers.get(&1).map(|handle| handle.state()), Some(State::Open));
    assert_eq!(breakers.get(&2).map(|handle| handle.state()), Some(State::Closed));
    assert!(breakers.get(&3).is_none(), "a look makes none");
    assert_eq!(breakers.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_without_room_share_one_breaker_that_fails_closed() {
    let layer = keyed(BreakerLayer::builder("crm").max_keys(3));
    let (leaf, breakers) = (Leaf::default(), layer.breakers());
    let service = layer.layer(leaf.service());
    for key in 0..3 {
        fail(&leaf, &service, key, 1).await;
    }
    for key in 100..105 {
        fail(&leaf, &service, key, 1).await;
    }
    assert_eq!(breakers.len(), 3, "who has failed stays");
    assert_eq!(breakers.overflow().state(), State::Open, "five keys, five failures");
    call(&service, 200).await.expect_err("it shares the breaker of the rest");
    call(&service, 1).await.expect("it has its own");
    // That was a success: key 1 is as good as new, so its room may be had.
    call(&service, 200).await.expect("now it has its own");
    assert!(breakers.get(&200).is_some() && breakers.get(&1).is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_forgotten_that_still_matters() {
    let layer = keyed(BreakerLayer::builder("crm").max_keys(8).window(Window::Time(s(10))));
    let (leaf, breakers) = (Leaf::default(), layer.breakers());
    let service = layer.layer(leaf.service());
    fail(&leaf, &service, 1, 5).await;
    let held = breakers.get(&2);
    assert!(held.is_none());
    call(&service, 2).await.unwrap();
    call(&service, 3).await.unwrap();
    let held = breakers.get(&3).expect("its own");
    held.force_open();
    let flood = async |from: u64| {
        for key in from..from + 1_000 {
            drop(call(&service, key).await);
        }
    };
    flood(1_000).await;
    assert!(breakers.get(&2).is_some(), "its window is not empty");
    advance(s(10)).await;
    flood(10_000).await;
    assert!(breakers.get(&2).is_none(), "its window is empty");
    assert_eq!(breakers.get(&1).map(|handle| handle.state()), Some(State::Open));
    assert_eq!(breakers.get(&3).map(|handle| handle.state()), Some(State::ForcedOpen));
    held.reset();
    advance(s(10)).await;
    flood(20_000).await;
    assert!(breakers.get(&3).is_some(), "somebody holds it");
    drop(held);
    flood(30_000).await;
    assert!(breakers.get(&3).is_none());
    assert!(breakers.len() <= 8);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_calls_without_a_failure_is_forgotten_in_time() {
    let layer = keyed(BreakerLayer::builder("crm").max_keys(2).window(Window::Count(10)));
    let (leaf, breakers) = (Leaf::default(), layer.breakers());
    let service = layer.layer(leaf.service());
    fail(&leaf, &service, 1, 1).await;
    call(&service, 1).await.unwrap();
    call(&service, 2).await.unwrap();
    advance(s(299)).await;
    call(&service, 3).await.unwrap();
    assert!(breakers.get(&3).is_none(), "both are kept, and looked at");
    advance(s(300)).await;
    call(&service, 3).await.unwrap();
    assert!(breakers.get(&3).is_some() && breakers.get(&2).is_none());
    advance(s(3_600)).await;
    call(&service, 4).await.unwrap();
    call(&service, 5).await.unwrap();
    assert!(breakers.get(&1).is_some(), "a failure is in its window");
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_keeps_its_breaker() {
    let layer = keyed(BreakerLayer::builder("crm").max_keys(1));
    let (leaf, breakers) = (Leaf::default(), layer.breakers());
    let service = layer.layer(leaf.service());
    leaf.told().answers_after = s(60);
    let slow = service.clone().oneshot(request().map(|_| 1));
    let slow = tokio::spawn(slow);
    tokio::task::yield_now().await;
    leaf.told().answers_after = s(0);
    for key in 2..100 {
        call(&service, key).await.unwrap();
    }
    assert!(breakers.get(&1).is_some() && breakers.len() == 1);
    slow.await.unwrap().unwrap();
    call(&service, 100).await.unwrap();
    assert!(breakers.get(&100).is_some() && breakers.get(&1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_million_keys_stay_bounded() {
    let layer = keyed(BreakerLayer::builder("crm").max_keys(1_000));
    let (leaf, breakers) = (Leaf::default(), layer.breakers());
    let service = layer.layer(leaf.service());
    fail(&leaf, &service, u64::MAX, 5).await;
    for key in 0..1_000_000 {
        call(&service, key).await.unwrap();
    }
    assert!(breakers.len() <= 1_000, "{} breakers", breakers.len());
    assert_eq!(breakers.get(&u64::MAX).map(|handle| handle.state()), Some(State::Open));
    assert_eq!(breakers.overflow().snapshot().generation, 0);
    assert!(breakers.get(&999_999).is_some(), "the last one has found room");
}

#[tokio::test(start_paused = true)]
async fn other_settings_reach_every_key() {
    let layer = keyed(BreakerLayer::builder("crm"));
    let (leaf, breakers) = (Leaf::default(), layer.breakers());
    let service = layer.layer(leaf.service());
    fail(&leaf, &service, 1, 1).await;
    let mut config = BreakerConfig::default();
    config.consecutive_failures = Some(2);
    breakers.reload(&config).unwrap();
    fail(&leaf, &service, 1, 1).await;
    fail(&leaf, &service, 2, 2).await;
    for key in [1, 2] {
        assert_eq!(breakers.get(&key).map(|handle| handle.state()), Some(State::Open));
    }
    config.minimum_calls = 0;
    breakers.reload(&config).expect_err("out of bounds");
}
