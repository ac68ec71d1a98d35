//! Foreign errors, lifted once, innermost.

use std::{convert::Infallible, time::Duration};

use openclaw_core::{
    ErrorKind, Happened, Reason, Refusal,
    middleware::LiftLayer,
    policy::{Assessment, Failure, Fault},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

#[tokio::test]
async fn an_error_is_judged_where_it_is_lifted() {
    let judge = |e: &std::io::Error| match e.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            Assessment::fault(ErrorKind::Unavailable).with_happened(Happened::No)
        }
        _ => Assessment::fault(ErrorKind::Unclassified),
    };
    let refused = service_fn(async |(): ()| {
        Err::<(), _>(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
    });
    let service = ServiceBuilder::new().layer(LiftLayer::judging(judge)).service(refused);
    let e = service.oneshot(()).await.expect_err("it is refused");
    assert_eq!(e.assess().happened, Happened::No);
    assert!(e.assess().is_transient());
    assert!(e.into_inner().is_some());
}

#[test]
fn what_is_exhausted_is_assessed_so() {
    let refusal = Refusal::new(Reason::CircuitOpen, "crm").with_retry_after(Duration::from_secs(1));
    let refused: Failure<Infallible> = refusal.clone().into();
    assert!(!refused.assess().exhausted);
    let spent = refused.into_exhausted().assess();
    assert!(spent.exhausted && spent.local);
    assert_eq!(spent.retry_after, Some(Duration::from_secs(1)));
    let inner = Failure::Inner { error: 7, means: Assessment::fault(ErrorKind::Timeout) };
    assert!(inner.into_exhausted().assess().exhausted);
    assert!(openclaw_core::Error::from(refusal).into_exhausted().assess().exhausted);
}

mod laws {
    use openclaw_core::Call;
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::LiftLayer;

    layer_laws!("Lift", layer::on::<Call<u64>, _>(LiftLayer::new));
}
