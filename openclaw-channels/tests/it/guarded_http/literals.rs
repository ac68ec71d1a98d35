//! Addresses in all their spellings: what the policy refuses, and what only looks like it.

use openclaw_channels::guarded_http::{EgressPolicy, GuardedHttp};
use openclaw_core::{Error, ErrorKind, Happened};
use openclaw_testkit::attacks::{NEAR_MISSES, PRIVATE_ADDRESSES};

use super::support::{Names, send};

/// As open as it gets without naming a network.
fn open() -> EgressPolicy {
    EgressPolicy::public().allow_http().allow_any_port()
}

#[track_caller]
fn refused(address: &str, e: &Error) {
    let kind = matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ValidationError);
    assert!(kind && e.happened() == Happened::No, "{address}: {e:?}");
    assert!(e.context().any(|(key, _)| key == "rule"), "{address}: {e:?} names no rule");
}

#[test]
fn an_address_of_a_private_network_is_refused_however_it_is_written() {
    assert!(PRIVATE_ADDRESSES.len() >= 40);
    let passed: Vec<_> = PRIVATE_ADDRESSES.iter().filter(|a| open().check(a).is_ok()).collect();
    assert!(passed.is_empty(), "these passed: {passed:#?}");
    for address in PRIVATE_ADDRESSES {
        refused(address, &open().check(address).unwrap_err());
    }
}

#[test]
fn an_address_that_only_looks_private_passes() {
    for address in NEAR_MISSES {
        let checked = open().check(address);
        assert!(checked.is_ok(), "{address}: {checked:?}");
    }
}

#[tokio::test]
async fn the_client_refuses_them_before_it_asks_anybody() {
    let names = Names::say([&["127.0.0.1"]]);
    let client = GuardedHttp::builder().policy(open()).resolver(std::sync::Arc::clone(&names));
    let client = client.build().unwrap();
    let mut sent = 0;
    for address in PRIVATE_ADDRESSES {
        // What can't even be written as a request can't be sent.
        if let Ok(request) = http::Request::get(*address).body(bytes::Bytes::new()) {
            refused(address, &send(&client, request).await.unwrap_err());
            sent += 1;
        }
    }
    assert!(sent >= 40, "{sent} requests");
    assert_eq!(names.asked(), 0);
}

#[test]
fn a_refusal_quotes_nothing_of_the_address() {
    for address in [
        "https://10.0.0.1/s3cr3t?token=s3cr3t",
        "https://s3cr3t:s3cr3t@api.shop.test/",
        "https://s3cr3t.denied.test/",
        "gopher://s3cr3t/",
        "s3cr3t",
        "http://api.shop.test/s3cr3t",
        "https://api.shop.test:8443/s3cr3t",
    ] {
        let policy = EgressPolicy::public().deny_host("*.denied.test".parse().unwrap());
        let e = policy.check(address).unwrap_err();
        refused(address, &e);
        assert!(!format!("{e} {e:?} {}", e.public()).contains("s3cr3t"), "{e:?}");
    }
}

#[test]
fn only_what_was_named_is_open() {
    let check = |policy: &EgressPolicy, yes: &[&str], no: &[&str]| {
        for address in yes {
            assert!(policy.check(address).is_ok(), "{address}: {:?}", policy.check(address));
        }
        for address in no {
            let e = policy.check(address).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::PermissionDenied, "{address}: {e}");
        }
    };
    let public = EgressPolicy::public();
    check(
        &public,
        &["https://shop.test/", "https://shop.test:443/"],
        &["http://shop.test/", "https://shop.test:80/", "https://shop.test:8443/"],
    );
    check(&public.clone().allow_http(), &["http://shop.test/"], &["http://shop.test:8080/"]);
    check(&public.clone().allow_port(8443), &["https://shop.test:8443/"], &["https://a:8444/"]);
    let named = public.clone().allow_host("*.shop.test".parse().unwrap());
    check(&named, &["https://a.shop.test./"], &["https://shop.test/", "https://a.test/"]);
    let denied = named.deny_host("b.a.shop.test".parse().unwrap());
    check(
        &denied,
        &["https://a.shop.test/"],
        &["https://b.a.shop.test/", "https://b.a.shop.test./"],
    );
    let network = |text: &str| text.parse().unwrap();
    let inner = public.allow_network(network("10.1.0.0/16"));
    check(&inner, &["https://10.1.2.3/", "https://8.8.8.8/"], &["https://10.2.0.0/"]);
    let less = inner.deny_network(network("10.1.2.0/24")).deny_network(network("8.8.8.0/24"));
    check(&less, &["https://10.1.3.1/"], &["https://10.1.2.3/", "https://8.8.8.8/"]);
    let within = EgressPolicy::within([network("10.1.0.0/16")]);
    check(&within, &["https://10.1.2.3/", "https://shop.test/"], &["https://8.8.8.8/"]);
    assert!(within.check_ip("8.8.8.8".parse().unwrap()).is_err(), "whatever the name leads to");
}

#[test]
fn an_open_network_keeps_its_secrets() {
    let network = |text: &str| text.parse().unwrap();
    let ip = |policy: &EgressPolicy, ip: &str| policy.check_ip(ip.parse().unwrap()).is_ok();
    let link = EgressPolicy::public().allow_network(network("169.254.0.0/16"));
    assert!(ip(&link, "169.254.7.7") && !ip(&link, "169.254.169.254"), "metadata stays shut");
    let named = link.allow_network(network("169.254.169.254"));
    assert!(ip(&named, "169.254.169.254") && ip(&named, "::ffff:169.254.169.254"));

    let nat64 = EgressPolicy::public().allow_network(network("64:ff9b::/96"));
    assert!(ip(&nat64, "64:ff9b::8.8.8.8"));
    assert!(!ip(&nat64, "64:ff9b::10.0.0.1") && !ip(&nat64, "64:ff9b::169.254.169.254"));
    let six = EgressPolicy::public().allow_network(network("2002::/16"));
    assert!(ip(&six, "2002:808:808::1") && !ip(&six, "2002:7f00:1::1"));
    let local = EgressPolicy::loopback();
    assert!(ip(&local, "127.9.9.9") && ip(&local, "::1") && ip(&local, "::ffff:127.0.0.1"));
    assert!(!ip(&local, "8.8.8.8") && !ip(&local, "::127.0.0.1") && !ip(&local, "10.0.0.1"));
}
