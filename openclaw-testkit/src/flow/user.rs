//! Somebody who talks to the gateway.

use std::fmt;

use openclaw_core::{ChannelId, Result, TenantId};

use super::{Step, TestGateway, builder::named, world::Place};

/// Somebody who talks to the gateway.
///
/// The conversation goes on from step to step: it is known by tenant, channel and chat.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_testkit::{agent::ScriptedAgent, flow::TestGateway};
///
/// let agent = ScriptedAgent::new("counter")?.always().then_say("{turn}");
/// let gateway = TestGateway::builder()
///     .channel("web")
///     .channel("sms")
///     .gateway(move |builder| builder.agent(agent.clone()))
///     .start()
///     .await?;
/// let alice = gateway.user("alice");
/// alice.says("one").expect_reply("1").await?;
/// alice.says("two").expect_reply("2").await?;
/// alice.clone().on("sms").says("a new conversation").expect_reply("1").await?;
/// alice.clone().of("globex").says("another customer").expect_reply("1").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct User<'a> {
    gateway: &'a TestGateway,
    name: String,
    tenant: Option<String>,
    channel: Option<String>,
    chat: Option<String>,
    verified: bool,
}

impl<'a> User<'a> {
    pub(super) const fn new(gateway: &'a TestGateway, name: String) -> Self {
        Self { gateway, name, tenant: None, channel: None, chat: None, verified: false }
    }

    /// The same user as this tenant's.
    #[must_use]
    pub fn of(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The same user on this channel, which the test has added.
    #[must_use]
    pub fn on(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// The same user in this conversation, for a group or a second one.
    #[must_use]
    pub fn in_chat(mut self, chat: impl Into<String>) -> Self {
        self.chat = Some(chat.into());
        self
    }

    /// The same user, whom the channel has checked.
    #[must_use]
    pub const fn verified(mut self) -> Self {
        self.verified = true;
        self
    }

    /// Says something, once the step is awaited.
    pub fn says(&self, text: impl Into<String>) -> Step<'a> {
        Step::new(self.clone(), Some(text.into()))
    }

    /// Says nothing, and waits for what still comes of the last words.
    pub fn waits(&self) -> Step<'a> {
        Step::new(self.clone(), None)
    }

    pub(super) const fn gateway(&self) -> &'a TestGateway {
        self.gateway
    }

    pub(super) const fn is_verified(&self) -> bool {
        self.verified
    }

    pub(super) fn place(&self) -> Result<Place> {
        let world = &self.gateway.world;
        let tenant = self.tenant.as_ref().map(|name| named(TenantId::new(name))).transpose()?;
        let channel = self.channel.as_ref().map(|name| named(ChannelId::new(name))).transpose()?;
        Ok(Place {
            tenant: tenant.unwrap_or_else(|| world.tenant.clone()),
            channel: channel.unwrap_or_else(|| world.channel.clone()),
            chat: self.chat.clone().unwrap_or_else(|| self.name.clone()),
            user: self.name.clone(),
        })
    }
}

/// `alice`, `alice@globex`, `alice/sms`, `alice#room-1`, or all of it.
impl fmt::Display for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let parts = [('@', &self.tenant), ('/', &self.channel), ('#', &self.chat)];
        for (mark, part) in parts {
            if let Some(part) = part {
                write!(f, "{mark}{part}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({self})")
    }
}
