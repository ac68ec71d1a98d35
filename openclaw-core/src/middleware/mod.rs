//! Tower layers that know whether a call may be repeated; one file a layer.
//!
//! Every layer reads requests and outcomes through one [`Policy`](crate::policy::Policy), and
//! answers by one [`Refusal`](crate::Refusal). State lives in the layer: all services that one
//! layer makes, and all their clones, share it. A layer is ready whenever it is asked; what it
//! refuses, it refuses as the answer to a call.

pub mod breaker;
mod lift;
pub mod stack;

pub use self::lift::{Judge, Lift, LiftLayer, Unjudged};
