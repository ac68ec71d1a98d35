//! A law must be able to fail: each flaw of a layer is caught by the laws that name it.

use std::{future::Ready, time::Duration};

use openclaw_core::{Call, Error};
use openclaw_testkit::conformance::layer::{LAWS, On, check, check_all, on};
use tower::{
    limit::ConcurrencyLimitLayer,
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
};

use crate::{
    broken::{Caught, every_flaw_is_caught, every_law_catches_a_flaw, holds},
    naive_layer::{Flaw, NaiveLayer},
};

const CAUGHT: &Caught<Flaw> = &[
    (
        Flaw::CallsTheClone,
        &[
            "an_unready_service_is_never_called",
            "clones_share_no_readiness",
            "calls_side_by_side_keep_their_answers",
        ],
    ),
    (Flaw::CallsTwice, &["one_call_is_one_inner_call"]),
    (Flaw::ChangesAnswers, &["requests_and_answers_pass_unchanged"]),
    (Flaw::ChangesRequests, &["requests_and_answers_pass_unchanged"]),
    (Flaw::ClonesReadiness, &["clones_share_no_readiness"]),
    (Flaw::DiesOfAFailure, &["a_failure_is_not_the_end"]),
    (Flaw::GivesUpEarly, &["a_slow_answer_is_waited_for"]),
    (Flaw::HidesFailedReadiness, &["a_failing_readiness_surfaces"]),
    (Flaw::KeepsItsPlace, &["a_dropped_readiness_is_given_back"]),
    (Flaw::LosesTheWaker, &["a_slow_readiness_is_waited_for"]),
    (Flaw::MixesAnswers, &["calls_side_by_side_keep_their_answers"]),
    (Flaw::NamesAnErrorOfItsOwn, &["an_inner_error_comes_through"]),
    (Flaw::NeverAsks, &["an_unready_service_is_never_called", "a_failing_readiness_surfaces"]),
    (Flaw::OneAtATime, &["a_slow_call_holds_up_no_other"]),
    (Flaw::PollsAllTheTime, &["waiting_is_not_polling"]),
    (Flaw::ReadyOnce, &["asking_twice_for_readiness_changes_nothing"]),
    (Flaw::RetriesTooOften, &["a_failing_call_makes_no_more_than_its_attempts"]),
    (Flaw::SpawnsTheCall, &["a_dropped_call_drops_the_inner_call"]),
    (Flaw::SwallowsErrors, &["an_inner_error_comes_through"]),
];

fn naive(flaw: Flaw) -> On {
    on::<u64, _>(move || NaiveLayer(flaw))
}

#[test]
fn a_layer_without_a_flaw_holds_every_law() {
    assert_eq!(check_all(&naive(Flaw::None)).held.len(), LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(CAUGHT, |law, flaw| holds(|| check(law, &naive(flaw))));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(CAUGHT, LAWS.iter().map(|law| law.name()));
}

/// Tries a failed call twice more.
#[derive(Clone)]
struct Twice(u32);

impl Policy<Call<u64>, u64, Error> for Twice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Call<u64>, answer: &mut Result<u64, Error>) -> Option<Ready<()>> {
        self.0 = self.0.checked_sub(1).filter(|_| answer.is_err())?;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Call<u64>) -> Option<Call<u64>> {
        Some(request.clone())
    }
}

#[test]
fn a_layer_that_tries_more_often_than_declared_is_caught() {
    let law = "a_failing_call_makes_no_more_than_its_attempts";
    let retries = || on::<Call<u64>, _>(|| RetryLayer::new(Twice(2)));
    assert!(!holds(|| check(law, &retries().attempts(2))));
    assert!(holds(|| check(law, &retries().attempts(3))));
}

mod towers_timeout {
    use super::{Call, Duration, TimeoutLayer, on};

    openclaw_testkit::layer_laws!(
        "tower's timeout",
        on::<Call<u64>, _>(|| TimeoutLayer::new(Duration::from_secs(60)))
    );
}

mod towers_concurrency_limit {
    use super::{Call, ConcurrencyLimitLayer, on};

    openclaw_testkit::layer_laws!(
        "tower's concurrency limit",
        on::<Call<u64>, _>(|| ConcurrencyLimitLayer::new(100))
    );
}

mod towers_retry {
    use super::{Call, RetryLayer, Twice, on};

    openclaw_testkit::layer_laws!(
        "tower's retry",
        on::<Call<u64>, _>(|| RetryLayer::new(Twice(2))).attempts(3)
    );
}

mod no_layer {
    use std::sync::Arc;

    use openclaw_core::model::Prompt;
    use openclaw_testkit::conformance::layer::{LAWS, check_all, on};
    use serde_json::Value;
    use tower::layer::util::Identity;

    use super::Call;

    openclaw_testkit::layer_laws!("tower's identity", on::<Call<Arc<Value>>, _>(Identity::new));

    #[test]
    fn holds_every_law_at_every_seam() {
        let http = on::<Call<http::Request<bytes::Bytes>>, _>(Identity::new);
        let model = on::<Call<Arc<Prompt>>, _>(Identity::new);
        for harness in [http, model] {
            assert_eq!(check_all(&harness).held.len(), LAWS.len());
        }
    }
}
