//! Faults at the seams: one plan, one list of faults, one thin wrapper for each trait.
//!
//! Give each wrapper of a process a clone of the same [`Plan`]; the test keeps one too.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use openclaw_core::{
//!     ChannelId, Content, Context, Conversation, Happened, TenantId, Call,
//!     channel::{Capabilities, Channel, Outbound, Part},
//! };
//! use openclaw_testkit::{
//!     fault::{Fault, FaultChannel, Plan}, platform::Platform, trace::Trace,
//! };
//!
//! let (plan, desk) = (Plan::default(), ChannelId::new("desk")?);
//! let platform = Platform::new(desk.clone(), Trace::default());
//! let channel = platform.channel(Capabilities::default(), plan.power().clone());
//! let channel = FaultChannel::new(channel, plan.clone());
//!
//! plan.nth("send", 1, Fault::LoseAnswer);
//! let part = Part::new(Content::text("hello"));
//! let post = Outbound::Post { to: Conversation::new(desk, "c1"), part, reply_to: None };
//! let context = Context::new(TenantId::new("acme")?);
//! let lost = channel.send(Call::outbound(context, &channel, post)).await.unwrap_err();
//! assert_eq!(lost.happened(), Happened::Maybe);
//! assert_eq!(platform.texts(), ["hello"], "the platform took it");
//! # Ok(()) }
//! ```

mod agent;
mod channel;
mod http;
mod kind;
mod model;
mod pass;
mod plan;
mod power;
mod skill;
mod source;
mod store;

pub use self::{
    agent::FaultAgent, channel::FaultChannel, http::FaultHttp, kind::Fault, model::FaultModel,
    plan::Plan, power::Power, skill::FaultSkill, store::FaultStore,
};
