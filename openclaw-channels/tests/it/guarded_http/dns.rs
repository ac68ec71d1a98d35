//! What leads somewhere else than it says: rebound names, several answers, redirects, policies.

use std::{net::SocketAddr, sync::Arc};

use openclaw_channels::guarded_http::{EgressPolicy, GuardedHttp};
use openclaw_core::{ErrorKind, Happened};
use openclaw_testkit::attacks::PRIVATE_ADDRESSES;
use tokio::net::{TcpListener, TcpStream};

use super::support::{Names, Then, get, ok, read, send, serve, server, to, with_body};

const GOOD: [u8; 4] = [127, 0, 0, 2];
const BAD: [u8; 4] = [127, 0, 0, 3];

/// Of this machine, only these addresses.
fn only(ips: &[&str]) -> EgressPolicy {
    EgressPolicy::within(ips.iter().map(|ip| ip.parse().unwrap())).allow_http().allow_any_port()
}

fn client(names: &Arc<Names>) -> GuardedHttp {
    let builder = GuardedHttp::builder().policy(only(&["127.0.0.2"])).resolver(Arc::clone(names));
    builder.redirects(1).build().unwrap()
}

fn shop(at: SocketAddr) -> String {
    format!("http://shop.test:{}/", at.port())
}

/// Listeners on these addresses of this machine, all at one port.
async fn at_one_port<const N: usize>(ips: [[u8; 4]; N]) -> [TcpListener; N] {
    // The port that is free at one address may be taken at another.
    let mut tries = 0;
    loop {
        tries += 1;
        assert!(tries < 100, "no port is free at all of {ips:?}");
        let mut found = Vec::new();
        let mut port = 0;
        for ip in ips {
            let Ok(listener) = TcpListener::bind(SocketAddr::from((ip, port))).await else { break };
            port = listener.local_addr().unwrap().port();
            found.push(listener);
        }
        if let Ok(all) = found.try_into() {
            return all;
        }
    }
}

/// Did somebody come before us?
async fn was_called(listener: &TcpListener) -> bool {
    let own = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    first != own.local_addr().unwrap()
}

#[tokio::test]
async fn a_name_that_is_bound_again_reaches_nobody() {
    let [good, bad] = at_one_port([GOOD, BAD]).await;
    let good = serve(good, ok("good"));
    let names = Names::say([&["127.0.0.2"], &["127.0.0.3"]]);
    let client = client(&names);
    assert_eq!(read(&client, &shop(good.at)).await.unwrap(), "good");
    for _ in 0..3 {
        let e = read(&client, &shop(good.at)).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::No), "{e}");
    }
    assert!(!was_called(&bad).await);
    assert_eq!((good.connections(), names.asked()), (1, 4), "one look-up for each connection");
}

#[tokio::test]
async fn a_name_that_is_bound_again_between_a_redirect_reaches_nobody() {
    let [good, bad] = at_one_port([GOOD, BAD]).await;
    let good = serve(good, to(307, "/again"));
    let names = Names::say([&["127.0.0.2"], &["127.0.0.3"]]);
    let e = read(&client(&names), &shop(good.at)).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::Maybe));
    assert!(!was_called(&bad).await);
}

#[tokio::test]
async fn a_redirect_to_one_of_them_is_not_followed() {
    let absolute = PRIVATE_ADDRESSES.iter().filter(|a| a.starts_with("http://") && a.is_ascii());
    let mut tried = 0;
    for address in absolute.filter(|a| !a.contains('\n')) {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let start = serve(listener, to(302, address));
        let policy = EgressPolicy::public().allow_http().allow_any_port();
        let policy = policy.allow_network("127.0.0.2".parse().unwrap());
        let client = GuardedHttp::builder().policy(policy).redirects(1).build().unwrap();
        match send(&client, get(&start.uri("/"))).await {
            Err(e) => {
                let denied =
                    matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ValidationError);
                assert!(denied, "{address}: {e:?}");
                assert_eq!(e.happened(), Happened::Maybe, "the first request was read");
            }
            // It is no address, and so the redirect is the answer.
            Ok(answer) => assert_eq!(answer.status().as_u16(), 302, "{address}"),
        }
        assert_eq!(start.heard().len(), 1, "{address}");
        tried += 1;
    }
    assert!(tried >= 40, "{tried} redirects");
}

#[tokio::test]
async fn of_several_addresses_only_the_good_are_called() {
    let [good, bad] = at_one_port([GOOD, BAD]).await;
    let good = serve(good, ok("good"));
    let names = Names::say([&["127.0.0.3", "10.0.0.1", "127.0.0.2", "::1"]]);
    assert_eq!(read(&client(&names), &shop(good.at)).await.unwrap(), "good");
    assert!(!was_called(&bad).await);
}

#[tokio::test]
async fn every_good_address_is_tried() {
    // Nobody listens at the first.
    let [silent, good] = at_one_port([[127, 0, 0, 4], GOOD]).await;
    let good = serve(good, ok("good"));
    drop(silent);
    let names = Names::say([&["127.0.0.4", "127.0.0.2"]]);
    let policy = only(&["127.0.0.4", "127.0.0.2"]);
    let client = GuardedHttp::builder().policy(policy).resolver(names).build().unwrap();
    assert_eq!(read(&client, &shop(good.at)).await.unwrap(), "good");
}

#[tokio::test]
async fn an_address_in_disguise_is_judged_as_what_it_is() {
    let [bad] = at_one_port([BAD]).await;
    let at = bad.local_addr().unwrap();
    for said in ["::ffff:127.0.0.3", "::127.0.0.3", "64:ff9b::127.0.0.3", "2002:7f00:3::", "::1"] {
        let e = read(&client(&Names::say([&[said]])), &shop(at)).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::No), "{said}");
    }
    assert!(!was_called(&bad).await);
}

#[tokio::test]
async fn a_name_without_an_address_has_read_nothing() {
    for names in [Names::say([]), Names::say([&[]])] {
        let e = read(&client(&names), "http://shop.test:1/").await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No), "{e}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_without_another_look_up() {
    let [good] = at_one_port([GOOD]).await;
    let good = serve(good, Then::Keep(with_body("", b"good")));
    let names = Names::say([&["127.0.0.2"], &["127.0.0.3"]]);
    let client = client(&names);
    for _ in 0..3 {
        assert_eq!(read(&client, &shop(good.at)).await.unwrap(), "good");
    }
    assert_eq!((good.heard().len(), good.connections(), names.asked()), (3, 1, 1));
}

#[tokio::test]
async fn a_connection_does_not_outlive_the_policy_that_allowed_it() {
    let [good] = at_one_port([GOOD]).await;
    let good = serve(good, Then::Keep(with_body("", b"good")));
    let names = Names::say([&["127.0.0.2"]]);
    let client = client(&names);
    read(&client, &shop(good.at)).await.unwrap();

    let clone = client.clone();
    client.set_policy(only(&["127.0.0.3"])).unwrap();
    let e = read(&clone, &shop(good.at)).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::No));
    assert_eq!((good.heard().len(), good.connections()), (1, 1), "nothing went over the old one");

    client.set_policy(only(&["127.0.0.2"])).unwrap();
    read(&clone, &shop(good.at)).await.unwrap();
    assert_eq!((good.heard().len(), good.connections()), (2, 2));
}

#[tokio::test]
async fn a_policy_that_changes_lets_an_answer_under_way_end() {
    let server = server(Then::Keep(with_body("", &[b'x'; 100_000]))).await;
    let client = GuardedHttp::builder().policy(EgressPolicy::loopback()).build().unwrap();
    let answer = send(&client, get(&server.uri("/"))).await.unwrap();
    client.set_policy(EgressPolicy::public()).unwrap();
    assert_eq!(answer.into_body().collect(usize::MAX).await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn the_resolver_of_the_system_is_judged_too() {
    let public = GuardedHttp::builder().policy(EgressPolicy::public().allow_http());
    let e = read(&public.build().unwrap(), "http://localhost/").await.unwrap_err();
    let expected = (ErrorKind::PermissionDenied, Happened::No);
    assert_eq!((e.kind(), e.happened()), expected, "{e}");
    let server = server(ok("here")).await;
    let client = GuardedHttp::builder().policy(EgressPolicy::loopback()).build().unwrap();
    let uri = format!("http://localhost:{}/", server.at.port());
    assert_eq!(read(&client, &uri).await.unwrap(), "here");
}
