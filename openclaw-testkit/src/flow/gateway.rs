//! The gateway under test, through all its starts and crashes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use openclaw_core::{ChannelId, Error, ErrorKind, Result, TenantId, gateway::Gateway};
use tokio::time::{Instant, sleep_until};

use super::{
    Operator, TestGatewayBuilder, Transcript, User,
    builder::named,
    line,
    world::{Process, World},
};
use crate::{
    fault::{Fault, Plan},
    platform::Platform,
};

/// Longer than a drain of healthy work takes.
const DRAIN: Duration = Duration::from_secs(60);

/// A gateway under test: composed like the real one, on virtual time, with rows that outlive
/// its crashes.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_core::Effect;
/// use openclaw_testkit::{
///     agent::ScriptedAgent,
///     flow::{TestGateway, minutes},
///     remote::{CountingRemote, RemoteKind, RemoteSkill},
/// };
/// use serde_json::json;
///
/// let desk = ScriptedAgent::new("desk")?
///     .when("refund order 1042")
///     .call("refund.create", "refund", json!({"order": 1042}))
///     .then_say("Refunded: {}");
/// let shop = CountingRemote::new(RemoteKind::Keyed).answering(|n, _| json!(n));
/// let keyed = Effect::Keyed { retention: minutes(10) };
/// let skill = RemoteSkill::named("refund.create", keyed, shop.clone())?;
/// let mut gateway = TestGateway::builder()
///     .gateway(move |builder| builder.agent(desk.clone()).skill(skill.clone()))
///     .start()
///     .await?;
///
/// gateway.crash_in_skill("refund.create");
/// gateway.user("alice").says("refund order 1042").expect_crash().await?;
/// gateway.restart().await?;
/// gateway.user("alice").waits().expect_skill("refund.create").expect_reply("Refunded: 1").await?;
/// assert_eq!(shop.effects_total(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TestGateway {
    pub(super) world: Arc<World>,
    process: Process,
}

impl TestGateway {
    /// Starts to compose a gateway under test.
    pub fn builder() -> TestGatewayBuilder {
        TestGatewayBuilder::new()
    }

    pub(super) async fn open(world: World) -> Result<Self> {
        let process = world.boot().await?;
        Ok(Self { world: Arc::new(world), process })
    }

    /// Somebody who talks to the gateway, in a conversation of the same name.
    pub fn user(&self, name: impl Into<String>) -> User<'_> {
        User::new(self, name.into())
    }

    /// Somebody who operates the gateway.
    pub fn operator(&self, name: impl Into<String>) -> Operator<'_> {
        Operator::new(self, name.into())
    }

    /// The gateway itself, as the last start made it.
    #[must_use]
    pub const fn inner(&self) -> &Gateway {
        &self.process.gateway
    }

    /// The faults of the present process, the store's for now. A restart makes a new plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.process.plan
    }

    /// The other side of the first channel: what it took, and what becomes of sends.
    ///
    /// # Errors
    /// As [`TestGateway::platform_of`].
    pub fn platform(&self) -> Result<&Platform> {
        self.world.platform(&self.world.channel)
    }

    /// The other side of the channel of this name.
    ///
    /// # Errors
    /// `NOT_FOUND` when the test has no such channel.
    pub fn platform_of(&self, channel: &str) -> Result<&Platform> {
        self.world.platform(&named(ChannelId::new(channel))?)
    }

    /// The tenant of users who name none.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.world.tenant
    }

    /// Virtual time since the first start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.elapsed()
    }

    /// Has the present process a connection to the world?
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.plan.power().is_on() && !self.process.stopped
    }

    /// Pulls the plug: from now on the process reads, writes and sends nothing.
    ///
    /// The crash takes a millisecond of virtual time.
    ///
    /// # Errors
    /// `CONFLICT` when nothing runs.
    pub async fn crash(&mut self) -> Result<()> {
        if !self.is_running() {
            return Err(Error::new(ErrorKind::Conflict, "the gateway does not run"));
        }
        self.world.tell(["crash".to_owned()]);
        self.process.plan.power().cut();
        self.bury().await;
        Ok(())
    }

    /// Cuts the power before the next commit of this label is made: `"admit"`, `"claim"`,
    /// `"dispatch"`, `"settle"`, `"turn"`, `"done"`, ….
    ///
    /// The step in which it happens ends there; it says so with
    /// [`expect_crash`](super::Step::expect_crash).
    pub fn crash_before(&self, label: &str) {
        self.world.tell([format!("crash before {label}")]);
        self.plan().nth(label, 1, Fault::CrashBefore);
    }

    /// Cuts the power once the next commit of this label is made, and nobody knows.
    pub fn crash_after(&self, label: &str) {
        self.world.tell([format!("crash after {label}")]);
        self.plan().nth(label, 1, Fault::CrashAfter);
    }

    /// Cuts the power when this skill next has answered and its receipt is not stored yet.
    ///
    /// This is the crash between effect and receipt. A `Pure` skill has no receipt.
    pub fn crash_in_skill(&self, skill: &str) {
        self.world.tell([format!("crash in skill {skill}")]);
        self.world.rows.cut_in_skill(skill);
    }

    /// Starts the next process on the same rows; one that still runs is drained first.
    ///
    /// What no process accepted is delivered again, as platforms do.
    ///
    /// # Errors
    /// As [`GatewayBuilder::start`](openclaw_core::gateway::GatewayBuilder::start).
    pub async fn restart(&mut self) -> Result<()> {
        if self.is_running() {
            // What is left goes on at the start, also when a fault holds the drain up.
            let drain = self.process.gateway.drain(DRAIN);
            let _left = tokio::time::timeout(2 * DRAIN, drain).await;
        }
        self.process.plan.power().cut();
        self.bury().await;
        self.world.tell(["restart".to_owned()]);
        self.process = self.world.boot().await?;
        self.world.deliver_lost()
    }

    /// Takes no more messages, finishes what is on hand, and stops the process.
    ///
    /// # Errors
    /// `TIMEOUT` when something was left; the process is stopped all the same.
    pub async fn drain(&mut self, deadline: Duration) -> Result<()> {
        self.world.tell([format!("drain {}", line::span(deadline))]);
        self.process.stopped = true;
        self.process.gateway.drain(deadline).await
    }

    /// Lets virtual time pass, with everything that happens meanwhile.
    pub async fn advance(&self, span: Duration) {
        self.world.tell([format!("advance {}", line::span(span))]);
        let until = Instant::now() + span;
        tokio::select! {
            biased;
            () = self.process.plan.power().lost() => self.bury().await,
            () = sleep_until(until) => {}
        }
        sleep_until(until).await;
    }

    /// What was said and what came of it so far.
    #[must_use]
    pub fn transcript(&self) -> Transcript {
        Transcript::of_lines(self.world.lines())
    }

    /// Ends the tasks of a process without power: they act no more, their deliveries are lost.
    pub(super) async fn bury(&self) {
        const MOMENT: Duration = Duration::from_millis(1);
        let alive = self.process.plan.power().is_on();
        if alive || self.process.buried.swap(true, Ordering::Relaxed) {
            return;
        }
        // Without power it never gets to its end; its tasks are gone long before.
        let _dead = tokio::time::timeout(MOMENT, self.process.gateway.drain(Duration::ZERO)).await;
    }
}
