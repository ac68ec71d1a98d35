//! Skills: typed, checked against JSON Schema, versioned, with HTTP APIs and credentials.
//!
//! * [`skill_fn`] makes a [`Skill`](openclaw_core::skill::Skill) of one async function, [`Typed`] of
//!   a type of your own. The schemas come from the types.
//! * [`Checked`] holds any other skill to the schemas and limits of its manifest. [`Hooked`] puts
//!   a [`Hook`] before and after one.
//! * A skill whose manifest names others has them do its work: [`SkillCx::call`].
//! * [`Schemas`] compiles JSON Schemas once and never fetches what they point to. [`Schema`]
//!   tells what is wrong with a value, and where, without repeating the value.
//! * [`descriptor`] is a skill's contract as JSON, [`evolution`] says what a new version breaks.
//! * [`registry`] has many versions of each skill side by side: ranges, canaries, roll-backs.
//! * [`api`] calls HTTP APIs: requests from typed input, errors by status, pages, GraphQL.
//! * [`secrets`] reads secrets by reference; [`auth`] signs requests with them, OAuth 2.0 included.
//! * `skill_md` (feature `skill-md`) reads the skills that OpenClaw's users have: folders with a
//!   SKILL.md.
//! * `conformance` (feature `testkit`) has the laws of this crate's ports, for a host's own.
//! * [`schemars`] is re-exported: `use openclaw_skills::schemars;` beside
//!   `#[derive(schemars::JsonSchema)]` needs no dependency of the host's own.

mod address;
pub mod api;
pub mod auth;
mod checked;
mod compose;
#[cfg(feature = "testkit")]
pub mod conformance;
mod contract;
mod cx;
pub mod descriptor;
pub mod evolution;
mod flight;
mod hooked;
mod percent;
mod planted;
mod pointer;
mod problem;
pub mod registry;
mod schema;
pub mod secrets;
mod skill_fn;
#[cfg(feature = "skill-md")]
pub mod skill_md;
mod typed;
mod weight;

pub use checked::Checked;
pub use cx::SkillCx;
pub use hooked::{Hook, Hooked};
pub use problem::Problem;
pub use schema::{MAX_BYTES, MAX_DEPTH, MAX_NODES, Schema, Schemas};
pub use schemars;
pub use skill_fn::{SkillFn, skill_fn};
pub use typed::{Typed, TypedSkill};
