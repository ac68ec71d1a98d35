//! Contracts of requests and answers.

use std::sync::atomic::{AtomicU32, Ordering};

use openclaw_core::{
    Error, ErrorKind, Happened, Reason,
    middleware::{RetryLayer, ValidateLayer},
    policy::{Assessment, Head, Validator, Violation, policy},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

/// Requests are even, answers are below a hundred.
#[derive(Clone, Copy, Debug)]
struct Contract;

impl Validator<u32, u32> for Contract {
    fn request(&self, n: &u32) -> Result<(), Violation> {
        if n.is_multiple_of(2) { Ok(()) } else { Err(Violation::new("/n", "it is even")) }
    }

    fn answer(&self, n: &u32) -> Result<(), Violation> {
        if *n < 100 { Ok(()) } else { Err(Violation::new("/answer", "it is below 100")) }
    }
}

#[tokio::test]
async fn a_request_that_breaks_its_contract_is_not_sent() {
    let calls = AtomicU32::new(0);
    let leaf = service_fn(async |n: u32| {
        calls.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Error>(n)
    });
    let layer = ValidateLayer::new("refund", Contract);
    let e = layer.layer(leaf).oneshot(3).await.expect_err("it is odd");
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::No));
    assert!(e.to_string().contains("by=refund, it is even at \"/n\""), "{e}");
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_its_contract_has_happened_and_is_not_tried_again() {
    let calls = AtomicU32::new(0);
    let leaf = service_fn(async |_: u32| {
        calls.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Error>(100)
    });
    let layer = ValidateLayer::new("refund", Contract);
    let by = policy(
        |_: &u32| Head::new(openclaw_core::Effect::Pure),
        |outcome: Result<&u32, &Error>| {
            outcome.map_or_else(openclaw_core::policy::Fault::assess, |_| Assessment::SUCCESS)
        },
    );
    let service =
        ServiceBuilder::new().layer(RetryLayer::default().policy(by)).layer(&layer).service(leaf);
    let e = service.oneshot(2).await.expect_err("it is too large");
    assert_eq!(e.happened(), Happened::Yes);
    assert_eq!(e.refusal().map(|r| r.reason()), Some(Reason::InvalidAnswer));
    assert_eq!((calls.load(Ordering::Relaxed), layer.broken_answers()), (1, 1));
}

mod laws {
    use openclaw_core::policy::{Validator, Violation};
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::{Contract, ValidateLayer};

    impl Validator<u64, u64> for Contract {
        fn request(&self, _: &u64) -> Result<(), Violation> {
            Ok(())
        }

        fn answer(&self, _: &u64) -> Result<(), Violation> {
            Ok(())
        }
    }

    layer_laws!("Validate", layer::on::<u64, _>(|| ValidateLayer::new("law", Contract)));
}
