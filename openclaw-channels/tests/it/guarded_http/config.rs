//! The egress policy as JSON: the same policy, and mistakes that are told where they are.

use openclaw_channels::guarded_http::{EgressPolicy, Network};
use openclaw_core::ErrorKind;
use serde_json::{Value, json};

fn read(config: &Value) -> EgressPolicy {
    EgressPolicy::from_json(&config.to_string()).unwrap()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

/// Each policy that code can make, and how it is written.
fn pairs() -> [(EgressPolicy, Value); 6] {
    let usual = EgressPolicy::public;
    [
        (usual(), json!({ "http": false, "ports": [443], "public": true })),
        (usual().allow_http(), json!({ "http": true, "ports": [80, 443], "public": true })),
        (usual().allow_any_port(), json!({ "http": false, "ports": "any", "public": true })),
        (
            EgressPolicy::within([network("10.20.0.0/16")]).deny_network(network("10.20.7.1")),
            json!({
                "http": false,
                "ports": [443],
                "public": false,
                "networks": { "allow": ["10.20.0.0/16"], "deny": ["10.20.7.1/32"] },
            }),
        ),
        (
            usual()
                .allow_host("*.shop.test".parse().unwrap())
                .deny_host("old.shop.test".parse().unwrap()),
            json!({
                "http": false,
                "ports": [443],
                "public": true,
                "hosts": { "allow": ["*.shop.test"], "deny": ["old.shop.test"] },
            }),
        ),
        (
            EgressPolicy::loopback(),
            json!({
                "http": true,
                "ports": "any",
                "public": false,
                "networks": { "allow": ["127.0.0.0/8", "::1/128"] },
            }),
        ),
    ]
}

#[test]
fn a_policy_is_written_and_read_back() {
    for (policy, written) in pairs() {
        assert_eq!(serde_json::to_value(&policy).unwrap(), written);
        assert_eq!(read(&written), policy);
        assert_eq!(serde_json::from_value::<EgressPolicy>(written).unwrap(), policy);
    }
}

#[test]
fn what_is_left_out_is_as_in_the_public_policy() {
    assert_eq!(read(&json!({})), EgressPolicy::public());
    assert_eq!(read(&json!({ "http": true })), EgressPolicy::public().allow_http());
    let inside = read(&json!({ "public": false, "networks": { "allow": ["10.0.0.0/8"] } }));
    assert_eq!(inside, EgressPolicy::within([network("10.0.0.0/8")]));
}

#[test]
fn the_ports_that_are_named_are_all_there_are() {
    let policy = read(&json!({ "http": true, "ports": [8080] }));
    assert!(policy.check("http://shop.test:8080/").is_ok());
    for other in ["http://shop.test/", "https://shop.test/"] {
        assert!(policy.check(other).is_err(), "{other}");
    }
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (config, at) in [
        (r#"{ "htpp": true }"#, "htpp"),
        (r#"{ "hosts": { "deni": ["a.test"] } }"#, "hosts.deni"),
        (r#"{ "hosts": { "allow": ["*.a.test", "a.test:443"] } }"#, "hosts.allow[1]"),
        (r#"{ "networks": { "deny": ["10.0.0.1/8"] } }"#, "networks.deny[0]"),
        (r#"{ "ports": [443, 65536] }"#, "ports[1]"),
        (r#"{ "ports": "all" }"#, "ports"),
        (r#"{ "ports": 443 }"#, "ports"),
        (r#"{ "http": "yes" }"#, "http"),
        (r#"{ "networks": [["10.0.0.0/8"], []] }"#, "networks"),
        (r#"{ "http": true, "http": false }"#, "/http"),
        ("[true]", ""),
        ("{", ""),
    ] {
        let e = EgressPolicy::from_json(config).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ValidationError, "{config}");
        assert!(e.context().any(|pair| pair == ("at", at)), "{config}: {e}");
    }
}

#[test]
fn an_empty_list_is_neither_none_nor_all() {
    for (config, at) in [
        (r#"{ "hosts": { "allow": [] } }"#, "hosts.allow"),
        (r#"{ "networks": { "deny": [] } }"#, "networks.deny"),
        (r#"{ "ports": [] }"#, "ports"),
    ] {
        let e = EgressPolicy::from_json(config).unwrap_err();
        assert!(e.context().any(|pair| pair == ("at", at)), "{config}: {e}");
    }
}
