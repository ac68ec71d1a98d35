//! Typed skills: serde in, serde out, both checked against JSON Schema.
//!
//! * [`skill_fn`] makes a [`Skill`](openclaw_core::skill::Skill) of one async function. The
//!   schemas come from its types.
//! * [`Schemas`] compiles JSON Schemas once and never fetches what they point to. [`Schema`]
//!   tells what is wrong with a value, and where, without repeating the value.
//! * [`schemars`] is re-exported: `use openclaw_skills::schemars;` beside
//!   `#[derive(schemars::JsonSchema)]` needs no dependency of the host's own.

mod problem;
mod schema;
mod skill_fn;

pub use problem::Problem;
pub use schema::{MAX_DEPTH, Schema, Schemas};
pub use schemars;
pub use skill_fn::{SkillCx, SkillFn, skill_fn};
