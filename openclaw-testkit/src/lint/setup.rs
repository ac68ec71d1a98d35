//! A gateway as it is set up, and what is odd about it.

use std::time::Duration;

use openclaw_core::{
    channel::{Capabilities, Channel},
    gateway::{AckPolicy, GatewayConfig},
    skill::SkillManifest,
};

use super::{Finding, channels, numbers, rule::Rule, skills, times};

/// What is to be known of a channel and its platform.
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use openclaw_core::{channel::Capabilities, gateway::{AckPolicy, GatewayConfig}};
/// use openclaw_testkit::lint::{ChannelFacts, Setup};
///
/// let mut capabilities = Capabilities::default();
/// capabilities.redelivers = true;
/// capabilities.max_text = NonZeroUsize::new(4096);
/// let chat = ChannelFacts::named("chat", capabilities).ack_deadline(Duration::from_secs(3));
/// let lint = |facts| Setup::new(GatewayConfig::default()).channel(facts).findings();
/// assert_eq!(lint(chat.clone()), [], "a recorded message is acknowledged at once");
/// assert_eq!(lint(chat.ack(AckPolicy::Replied))[0].rule, "ack-deadline");
/// ```
#[derive(Clone, Debug)]
pub struct ChannelFacts {
    pub(super) name: String,
    pub(super) capabilities: Capabilities,
    pub(super) reconciles: bool,
    pub(super) ack: AckPolicy,
    pub(super) ack_deadline: Option<Duration>,
    pub(super) reply_deadline: Option<Duration>,
    pub(super) send_deadline: Option<Duration>,
}

impl ChannelFacts {
    /// What this channel says of itself. It is acknowledged once a message is recorded.
    #[must_use]
    pub fn of(channel: &dyn Channel) -> Self {
        let facts = Self::named(channel.id().as_str(), channel.capabilities().clone());
        Self { reconciles: channel.reconcile().is_some(), ..facts }
    }

    /// A channel of this name and these capabilities, without a reconcile hook.
    #[must_use]
    pub fn named(name: impl Into<String>, capabilities: Capabilities) -> Self {
        Self {
            name: name.into(),
            capabilities,
            reconciles: false,
            ack: AckPolicy::Recorded,
            ack_deadline: None,
            reply_deadline: None,
            send_deadline: None,
        }
    }

    /// When its deliveries are acknowledged.
    #[must_use]
    pub const fn ack(mut self, ack: AckPolicy) -> Self {
        self.ack = ack;
        self
    }

    /// The platform delivers again what is not acknowledged for this long.
    #[must_use]
    pub const fn ack_deadline(mut self, span: Duration) -> Self {
        self.ack_deadline = Some(span);
        self
    }

    /// The platform takes a reply only for this long after the message.
    #[must_use]
    pub const fn reply_deadline(mut self, span: Duration) -> Self {
        self.reply_deadline = Some(span);
        self
    }

    /// The platform itself ends a request after this long.
    #[must_use]
    pub const fn send_deadline(mut self, span: Duration) -> Self {
        self.send_deadline = Some(span);
        self
    }
}

/// A configuration with the channels and skills that it serves.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Effect, SkillId, Touches, gateway::GatewayConfig, skill::SkillManifest};
/// use openclaw_testkit::lint::{Severity, Setup, config};
///
/// assert_eq!(config(&GatewayConfig::default()), []);
///
/// let refund = SkillManifest::new(SkillId::new("refund")?, "1.0.0")
///     .describe("Pays an order back.")
///     .touches(Touches::MONEY)
///     .effect(Effect::AtLeastOnce);
/// let findings = Setup::new(GatewayConfig::default()).skill(&refund).findings();
/// assert_eq!((findings[0].rule, findings[0].severity), ("repeatable-harm", Severity::Error));
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `findings`"]
pub struct Setup {
    config: GatewayConfig,
    channels: Vec<ChannelFacts>,
    skills: Vec<SkillManifest>,
}

impl Setup {
    /// A gateway of this configuration.
    pub const fn new(config: GatewayConfig) -> Self {
        Self { config, channels: Vec::new(), skills: Vec::new() }
    }

    /// Adds a channel.
    pub fn channel(mut self, facts: ChannelFacts) -> Self {
        self.channels.push(facts);
        self
    }

    /// Adds a skill.
    pub fn skill(mut self, manifest: &SkillManifest) -> Self {
        self.skills.push(manifest.clone());
        self
    }

    /// What is odd, the worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let config = &self.config;
        let mut found: Vec<Finding> = Vec::new();
        for rule in numbers::RULES.iter().chain(times::RULES) {
            found.extend(rule.check(config, &()));
        }
        for facts in &self.channels {
            found.extend(channels::RULES.iter().filter_map(|rule| rule.check(config, facts)));
        }
        for manifest in &self.skills {
            found.extend(skills::RULES.iter().filter_map(|rule| rule.check(config, manifest)));
        }
        found.extend(skills::TOGETHER.iter().filter_map(|rule| rule.check(config, &self.skills)));
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        found
    }
}

/// What is odd about a configuration alone, the worst first.
#[must_use]
pub fn config(config: &GatewayConfig) -> Vec<Finding> {
    Setup::new(config.clone()).findings()
}

/// The names of all rules that [`Setup`] knows.
#[must_use]
pub fn setup_rules() -> Vec<&'static str> {
    fn ids<S: ?Sized>(rules: &[Rule<S>]) -> impl Iterator<Item = &'static str> {
        rules.iter().map(|rule| rule.id)
    }
    let config = ids(numbers::RULES).chain(ids(times::RULES)).chain(ids(channels::RULES));
    config.chain(ids(skills::RULES)).chain(ids(skills::TOGETHER)).collect()
}
