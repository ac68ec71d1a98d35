//! Scenarios: what users say to your gateway, what has to come of it, and what breaks meanwhile.
//!
//! * [`TestGateway`] is your gateway on virtual time. Its store outlives crashes, and a
//!   [`Platform`](crate::platform::Platform) is the other side of each channel.
//! * [`User::says`] makes a [`Step`]: words, then expectations, then one `.await`. What does not
//!   come true is an [`Unmet`] that tells the whole story of the step.
//! * [`Transcript`] is a run as a text file; [`Story`] plays such a file.
//!
//! Skill calls are read from the ledger and the audit trail, so that skills need no wrapper. A
//! `Pure` skill leaves no record in either: expectations do not see its calls.
//!
//! The runtime's time has to be paused: `#[tokio::test(start_paused = true)]`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use openclaw_testkit::{agent::ScriptedAgent, flow::TestGateway};
//!
//! let agent = ScriptedAgent::new("desk")?.when("hello").then_say("Hello, how can I help?");
//! let gateway = TestGateway::builder()
//!     .gateway(move |builder| builder.agent(agent.clone()))
//!     .start()
//!     .await?;
//! gateway.user("alice").says("hello").expect_reply("Hello, how can I help?").await?;
//! # Ok(()) }
//! ```

mod builder;
mod check;
mod gateway;
mod heard;
mod line;
mod operator;
mod sent;
mod step;
mod store;
mod story;
mod transcript;
mod unmet;
mod user;
mod world;

use std::time::Duration;

pub use self::{
    builder::TestGatewayBuilder,
    gateway::TestGateway,
    heard::{Heard, SkillCall},
    operator::Operator,
    step::Step,
    story::Story,
    transcript::{Bless, Transcript, TranscriptError},
    unmet::Unmet,
    user::User,
};

/// So many seconds.
#[must_use]
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many minutes.
///
/// ```
/// use openclaw_testkit::flow::{hours, minutes, seconds};
///
/// assert_eq!(minutes(2), seconds(120));
/// assert_eq!(hours(1), minutes(60));
/// ```
#[must_use]
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n.saturating_mul(60))
}

/// So many hours.
#[must_use]
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n.saturating_mul(3600))
}
