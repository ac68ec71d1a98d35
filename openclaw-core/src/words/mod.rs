//! The vocabulary every other room speaks: plain data, no I/O, no traits of the seams.

pub(crate) mod call;
pub(crate) mod caught;
pub(crate) mod context;
pub(crate) mod cut;
pub(crate) mod digest;
pub(crate) mod env;
pub(crate) mod envelope;
pub(crate) mod error;
pub(crate) mod flag;
pub(crate) mod id;
pub(crate) mod json;
pub(crate) mod key;
pub(crate) mod kind;
pub(crate) mod limits;
pub(crate) mod meter;
pub(crate) mod payer;
pub(crate) mod planted;
pub(crate) mod refusal;
pub(crate) mod scratch;
pub(crate) mod secret;
pub(crate) mod span;
