//! The configuration of the stacks: what is read, inherited, and refused by its path.

use std::time::Duration;

use openclaw_core::{
    ErrorKind,
    middleware::stack::{Kind, ResilienceConfig, Span, Switch},
};
use proptest::prelude::*;

fn refused(json: &str) -> String {
    let e = ResilienceConfig::from_json(json).expect_err("it is out of bounds");
    assert_eq!(e.kind(), ErrorKind::ValidationError);
    e.message().to_owned()
}

#[test]
fn an_empty_configuration_has_the_built_in_settings() {
    let config = ResilienceConfig::from_json("{}").unwrap();
    for kind in Kind::ALL {
        assert_eq!(config.settings(kind, "anything"), kind.settings());
    }
    assert_eq!(config, ResilienceConfig::default());
}

#[test]
fn an_integration_inherits_field_by_field() {
    let config = ResilienceConfig::from_json(
        r#"{ "skill": {
            "default": { "breaker": { "open_wait": "30s", "consecutive_failures": 7 } },
            "crm": { "breaker": { "open_wait": "5s" }, "retry": "off" }
        } }"#,
    )
    .unwrap();
    let crm = config.settings(Kind::Skill, "crm");
    let breaker = crm.breaker.as_ref().and_then(Switch::on).unwrap();
    assert_eq!(breaker.open_wait.map(Duration::from), Some(Duration::from_secs(5)));
    assert_eq!(breaker.consecutive_failures, Some(7), "from the family's default");
    assert_eq!(breaker.half_open_calls, Some(3), "built in");
    assert_eq!(crm.retry, Some(Switch::Off));
    assert_eq!(config.settings(Kind::Send, "crm"), Kind::Send.settings(), "another family");
}

#[test]
fn what_is_off_can_be_switched_on_again() {
    let config = ResilienceConfig::from_json(
        r#"{ "http": {
            "default": { "breaker": "off" },
            "shop": { "breaker": { "consecutive_failures": 2 } }
        } }"#,
    )
    .unwrap();
    assert_eq!(config.settings(Kind::Http, "other").breaker, Some(Switch::Off));
    let shop = config.settings(Kind::Http, "shop").breaker.unwrap();
    assert_eq!(shop.on().unwrap().consecutive_failures, Some(2));
}

#[test]
fn what_can_not_be_read_is_named_by_its_path() {
    let cases = [
        (r#"{"skil": {}}"#, "skil"),
        (r#"{"skill": {"crm": {"retries": "off"}}}"#, "skill.crm.retries"),
        (r#"{"skill": {"crm": {"retry": {"attempt": 3}}}}"#, "skill.crm.retry.attempt"),
        (r#"{"skill": {"crm": {"retry": {"attempts": "3"}}}}"#, "skill.crm.retry.attempts"),
        (r#"{"skill": {"crm": {"retry": "on"}}}"#, "skill.crm.retry"),
        (r#"{"skill": {"crm": {"total_timeout": 30}}}"#, "skill.crm.total_timeout"),
        (r#"{"skill": {"crm": {"total_timeout": "30"}}}"#, "skill.crm.total_timeout"),
        (r#"{"skill": {"crm": {"total_timeout": "soon"}}}"#, "skill.crm.total_timeout"),
        (r#"{"skill": {"crm": {"retry": {"jitter": "some"}}}}"#, "skill.crm.retry.jitter"),
    ];
    for (json, path) in cases {
        let message = refused(json);
        assert!(message.contains(&format!("at {path}:")), "{message}");
    }
    for broken in ["", "[]", "{} {}", r#"{"skill": []}"#, r#"{"skill": {"crm": []}}"#] {
        refused(broken);
    }
    let twice = r#"{"skill": {"crm": {"retry": "off", "retry": {"attempts": 9}}}}"#;
    assert!(refused(twice).contains("duplicate key"));
}

#[test]
fn a_value_out_of_bounds_is_named_by_its_path() {
    let cases = [
        (r#"{"retry": {"attempts": 0}}"#, "retry.attempts"),
        (r#"{"retry": {"factor": 0.5}}"#, "retry.factor"),
        (r#"{"retry": {"base": "1m", "cap": "1s"}}"#, "retry.base"),
        (r#"{"breaker": {"failure_rate": 0}}"#, "breaker.failure_rate"),
        (r#"{"breaker": {"failure_rate": 1.5}}"#, "breaker.failure_rate"),
        (r#"{"breaker": {"half_open_calls": 0}}"#, "breaker.half_open_calls"),
        (r#"{"breaker": {"consecutive_failures": 0}}"#, "breaker.consecutive_failures"),
        (r#"{"breaker": {"window_calls": 100, "window_time": "60s"}}"#, "breaker.window_time"),
        (r#"{"breaker": {"open_wait": "0s"}}"#, "breaker.open_wait"),
        (r#"{"breaker": {"window_calls": 1000001}}"#, "breaker.window_calls"),
        (
            r#"{"breaker": {"window_calls": 2000000, "consecutive_failures": 0}}"#,
            "breaker.window_calls",
        ),
        (r#"{"breaker": {"window_time": "5ms"}}"#, "breaker.window_time"),
        (r#"{"rate_limit": {"calls": 0, "per": "1s"}}"#, "rate_limit.calls"),
        (r#"{"rate_limit": {"calls": 5}}"#, "rate_limit.per"),
        (r#"{"rate_limit": {"per": "1s"}}"#, "rate_limit.calls"),
        (r#"{"concurrency": {"limit": 0}}"#, "concurrency.limit"),
        (r#"{"concurrency": {"limit": 4, "adaptive_from": 5}}"#, "concurrency.adaptive_from"),
        (r#"{"total_timeout": "0s"}"#, "total_timeout"),
        (r#"{"attempt_timeout": "500000h"}"#, "attempt_timeout"),
    ];
    for (settings, path) in cases {
        let message = refused(&format!(r#"{{"skill": {{"crm": {settings}}}}}"#));
        assert!(message.starts_with(&format!("skill.crm.{path}:")), "{message}");
    }
    let inherited = refused(r#"{"send": {"default": {"retry": {"attempts": 0}}, "mail": {}}}"#);
    assert!(inherited.starts_with("send.default.retry.attempts:"), "{inherited}");
    let inherited = refused(r#"{"send": {"alpha": {}, "default": {"retry": {"attempts": 0}}}}"#);
    assert!(inherited.starts_with("send.default.retry.attempts:"), "whoever wrote it: {inherited}");
}

#[test]
fn a_window_of_ones_own_replaces_the_inherited_one_of_the_other_kind() {
    let json = r#"{ "skill": {
        "default": { "breaker": { "window_calls": 100 } },
        "crm": { "breaker": { "window_time": "60s" } },
        "erp": { "breaker": { "minimum_calls": 5 } } },
        "http": {
        "default": { "breaker": { "window_time": "60s" } },
        "shop.test": { "breaker": { "window_calls": 100 } } } }"#;
    let config = ResilienceConfig::from_json(json).unwrap();
    let window = |kind, name| {
        let settings = config.settings(kind, name);
        let breaker = settings.breaker.as_ref().and_then(Switch::on).unwrap();
        (breaker.window_calls, breaker.window_time.map(Duration::from))
    };
    let minute = Some(Duration::from_secs(60));
    assert_eq!(window(Kind::Skill, "crm"), (None, minute));
    assert_eq!(window(Kind::Skill, "erp"), (Some(100), None));
    assert_eq!(window(Kind::Http, "shop.test"), (Some(100), None));
}

#[test]
fn a_value_that_conflicts_with_an_inherited_one_is_named_where_it_was_written() {
    let cases = [
        (r#"{"retry": {"cap": "100ms"}}"#, "retry.cap", "retry.base"),
        (r#"{"retry": {"base": "1m"}}"#, "retry.base", "retry.cap"),
        (r#"{"concurrency": {"limit": 4}}"#, "concurrency.limit", "concurrency.adaptive_from"),
        (
            r#"{"concurrency": {"adaptive_from": 90}}"#,
            "concurrency.adaptive_from",
            "concurrency.limit",
        ),
    ];
    for (settings, path, other) in cases {
        let message = refused(&format!(
            r#"{{"skill": {{"default": {{"concurrency": {{"adaptive_from": 8}}}}, "crm": {settings}}}}}"#
        ));
        assert!(message.starts_with(&format!("skill.crm.{path}:")), "{message}");
        assert!(message.contains(other) && message.contains("inherited"), "{message}");
    }
}

#[test]
fn a_written_configuration_reads_back_the_same() {
    let json = r#"{ "agent": { "default": { "total_timeout": "1m 30s", "rate_limit": "off" } },
        "skill": { "crm": { "retry": { "jitter": "equal", "factor": 1.5 } } } }"#;
    let config = ResilienceConfig::from_json(json).unwrap();
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(ResilienceConfig::from_json(&written).unwrap(), config);
}

#[cfg(feature = "schema")]
#[test]
fn the_schema_knows_every_setting() {
    let schema = ResilienceConfig::schema().to_string();
    let settings = serde_json::to_value(Kind::Skill.settings()).unwrap();
    for name in settings.as_object().unwrap().keys() {
        assert!(schema.contains(&format!("\"{name}\"")), "{name}");
    }
    assert!(schema.contains("\"additionalProperties\":false"), "unknown fields are refused");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        drop(ResilienceConfig::from_json(&text));
        prop_assert_ne!(text.parse::<Span>().map(|span| span.to_string()), Ok(String::new()));
    }

    #[test]
    fn a_span_reads_back_the_same(ms in 0_u64..=u64::from(u32::MAX) * 1_000) {
        let span = Span::from(Duration::from_millis(ms));
        prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
    }
}
