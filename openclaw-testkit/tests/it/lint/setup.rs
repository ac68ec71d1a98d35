//! The rules over a configuration, its channels and its skills.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    Call, ChannelId, Effect, Result, SkillId, Touches,
    channel::{Capabilities, Channel, Outbound, Receipt, Source},
    gateway::{AckPolicy, GatewayConfig},
    skill::SkillManifest,
};
use openclaw_testkit::lint::{ChannelFacts, Setup, Severity, config, setup_rules};
use serde_json::json;

use super::{covers, ids};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A channel with nothing odd about it.
fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.redelivers = true;
    capabilities.max_text = NonZeroUsize::new(4096);
    capabilities
}

fn facts() -> ChannelFacts {
    ChannelFacts::named("web", capabilities())
}

/// A skill with nothing odd about it.
fn skill() -> SkillManifest {
    let mut manifest = SkillManifest::new(SkillId::new("refund").unwrap(), "1.0.0")
        .describe("Pays an order back.")
        .touches(Touches::MONEY)
        .effect(Effect::Keyed { retention: secs(86_400) })
        .timeout(secs(20));
    manifest.input = Some(Arc::new(json!({"type": "object"})));
    manifest
}

type Break<S> = (&'static str, fn(&mut S));

const NUMBERS: &[Break<GatewayConfig>] = &[
    ("no-pending", |c| c.pending = 0),
    ("no-lane", |c| c.lane = 0),
    ("no-turns", |c| c.turns = 0),
    ("no-sends", |c| c.sends = 0),
    ("lane-over-pending", |c| c.lane = c.pending + 1),
    ("turns-over-pending", |c| c.turns = c.pending + 1),
    ("sends-over-pending", |c| c.sends = c.pending + 1),
    ("no-turn-attempts", |c| c.turn_attempts = 0),
    ("no-send-attempts", |c| c.send_attempts = 0),
    ("no-body", |c| c.limits.body = 0),
    ("no-json", |c| c.limits.json_depth = 0),
    ("no-json", |c| c.limits.json_nodes = 0),
    ("string-over-body", |c| c.limits.string = c.limits.body + 1),
    ("no-turn-timeout", |c| c.turn_timeout = Duration::ZERO),
    ("no-send-timeout", |c| c.send_timeout = Duration::ZERO),
    ("no-turn-pause", |c| c.turn_pause = Duration::ZERO),
    ("no-send-pause", |c| c.send_pause = Duration::ZERO),
    ("capped-turn-pause", |c| c.turn_pause = secs(6)),
    ("held-lane", |c| c.send_attempts = 14),
    ("long-defer", |c| c.defer = c.send_timeout + secs(1)),
    ("no-seal", |c| c.seal_every = Duration::ZERO),
    ("no-read", |c| c.limits.read = Duration::ZERO),
];

const SKILLS: &[Break<SkillManifest>] = &[
    ("repeatable-harm", |m| m.effect = Effect::Pure),
    ("repeatable-harm", |m| m.effect = Effect::AtLeastOnce),
    ("repeatable-harm", |m| {
        (m.touches, m.effect) = (Touches::DESTRUCTIVE | Touches::EGRESS, Effect::AtLeastOnce);
    }),
    ("pure-writes", |m| (m.touches, m.effect) = (Touches::WRITES, Effect::Pure)),
    ("forgotten-keys", |m| m.effect = Effect::Keyed { retention: secs(60) }),
    ("no-skill-timeout", |m| m.timeout = Duration::ZERO),
    ("skill-over-turn", |m| m.timeout = secs(60)),
    ("free-input", |m| m.input = None),
    ("no-description", |m| m.description = "  ".into()),
];

fn channels() -> Vec<(&'static str, GatewayConfig, ChannelFacts)> {
    let config = GatewayConfig::default;
    let with = |change: fn(&mut Capabilities)| {
        let mut capabilities = capabilities();
        change(&mut capabilities);
        ChannelFacts::named("web", capabilities)
    };
    vec![
        ("lost-refusals", config(), with(|c| c.redelivers = false)),
        (
            "late-ack-in-vain",
            config(),
            with(|c| (c.redelivers, c.tells_refusals) = (false, true)).ack(AckPolicy::Replied),
        ),
        ("ack-deadline", config(), facts().ack(AckPolicy::Replied).ack_deadline(secs(89))),
        ("reply-deadline", config(), facts().reply_deadline(secs(89))),
        ("send-deadline", config(), facts().send_deadline(secs(30))),
        // Five attempts of 30 s, and pauses of 1, 2, 4 and 8 s.
        (
            "forgotten-posts",
            config(),
            with(|c| c.post = Effect::Keyed { retention: Duration::from_millis(164_999) }),
        ),
        ("nobody-to-ask", config(), with(|c| c.post = Effect::Reconcilable)),
        ("one-piece", config(), with(|c| c.max_text = None)),
        ("no-parts", config(), with(|c| c.max_parts = 0)),
    ]
}

#[test]
fn a_default_configuration_is_clean() {
    assert_eq!(config(&GatewayConfig::default()), []);
    let setup = Setup::new(GatewayConfig::default()).channel(facts()).skill(&skill());
    assert_eq!(setup.findings(), []);
}

#[test]
fn each_rule_over_the_configuration_fires_alone() {
    for (rule, change) in NUMBERS {
        let mut broken = GatewayConfig::default();
        change(&mut broken);
        // A bound of nothing contradicts others, too.
        assert!(ids(&config(&broken)).contains(rule), "{rule}: {:?}", config(&broken));
        let zero = rule.starts_with("no-");
        assert!(zero || ids(&config(&broken)) == [*rule], "{rule}: {:?}", config(&broken));
    }
}

#[test]
fn each_rule_over_a_channel_fires_alone() {
    for (rule, config, facts) in channels() {
        let findings = Setup::new(config).channel(facts).findings();
        assert_eq!(ids(&findings), [rule], "{findings:?}");
        assert!(findings[0].what.contains("web") || rule == "send-deadline", "{findings:?}");
    }
}

#[test]
fn each_rule_over_a_skill_fires_alone() {
    for (rule, change) in SKILLS {
        let mut broken = skill();
        change(&mut broken);
        let findings = Setup::new(GatewayConfig::default()).skill(&broken).findings();
        assert_eq!(ids(&findings), [*rule], "{findings:?}");
        assert!(findings[0].what.contains("refund"), "{findings:?}");
    }
}

#[test]
fn each_rule_over_all_skills_fires_alone() {
    let default = GatewayConfig::default;
    let (one, mut other) = (skill(), skill());
    other.id = SkillId::new("other").unwrap();
    let two = |config| Setup::new(config).skill(&one).skill(&other);
    assert_eq!(two(default()).findings(), [], "40 s in a turn of 60 s");
    let mut short = default();
    short.turn_timeout = secs(39);
    assert_eq!(ids(&two(short).findings()), ["skills-over-turn"]);
    let mut none = default();
    none.budget = none.budget.skill_calls(0);
    assert_eq!(ids(&two(none.clone()).findings()), ["no-skill-calls"]);
    assert_eq!(config(&none), [], "without skills there is nothing to call");
}

#[test]
fn no_rule_is_without_a_case() {
    let all = ["no-skill-calls", "skills-over-turn"].into_iter();
    let cases = all
        .chain(NUMBERS.iter().map(|case| case.0))
        .chain(SKILLS.iter().map(|case| case.0))
        .chain(channels().into_iter().map(|case| case.0));
    covers(setup_rules(), cases);
}

#[test]
fn what_is_just_enough_is_clean() {
    let mut config = GatewayConfig::default();
    (config.lane, config.turns, config.sends) = (8, 8, 8);
    config.pending = 8;
    config.turn_pause = secs(5);
    let mut capabilities = capabilities();
    capabilities.post = Effect::Keyed { retention: secs(165) };
    let facts = ChannelFacts::named("web", capabilities)
        .ack(AckPolicy::Replied)
        .ack_deadline(secs(90))
        .reply_deadline(secs(90))
        .send_deadline(secs(31));
    assert_eq!(Setup::new(config).channel(facts).findings(), []);
}

/// At most once is repeated where it surely did not go out: a 429, a refused connection.
#[test]
fn several_attempts_at_a_post_that_is_sent_at_most_once_are_fine() {
    let mut config = GatewayConfig::default();
    config.send_attempts = 8;
    assert_eq!(Setup::new(config).channel(facts()).findings(), []);
}

/// A channel that only has facts.
#[derive(Debug)]
struct Post(ChannelId, Capabilities);

#[async_trait::async_trait]
impl Channel for Post {
    fn id(&self) -> &ChannelId {
        &self.0
    }

    fn capabilities(&self) -> &Capabilities {
        &self.1
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(None)
    }

    async fn send(&self, _: Call<Outbound>) -> Result<Receipt> {
        Ok(Receipt::default())
    }
}

#[test]
fn the_facts_of_a_channel_are_read_from_it() {
    let mut capabilities = capabilities();
    capabilities.post = Effect::Reconcilable;
    let channel = Post(ChannelId::new("shop").unwrap(), capabilities);
    let findings = Setup::new(GatewayConfig::default()).channel(ChannelFacts::of(&channel));
    let findings = findings.findings();
    assert_eq!(ids(&findings), ["nobody-to-ask"]);
    assert!(findings[0].to_string().starts_with("error[nobody-to-ask]: channel shop "));
}

#[test]
fn the_worst_comes_first() {
    let mut config = GatewayConfig::default();
    config.defer = secs(60);
    config.seal_every = Duration::ZERO;
    let findings = Setup::new(config).findings();
    assert_eq!(ids(&findings), ["no-seal", "long-defer"]);
    assert!(findings[0].severity == Severity::Error && findings[1].severity == Severity::Warn);
}
