//! Secrets by reference: read at each use, kept briefly, never shown.
//!
//! A configuration holds a [`SecretRef`]; [`Secrets`] reads what it names from a
//! [`SecretProvider`]: [`EnvSecrets`], [`FileSecrets`], [`StoredSecrets`], and behind the feature
//! `exec` `ExecSecrets`. References are written as OpenClaw's Node program writes them. A
//! [`KeyPair`] is a certificate and its key for mutual TLS.

mod env;
#[cfg(feature = "exec")]
mod exec;
mod file;
mod key_pair;
mod provider;
mod reference;
mod resolve;
mod store;

#[cfg(feature = "exec")]
pub use self::exec::ExecSecrets;
pub use self::{
    env::EnvSecrets,
    file::FileSecrets,
    key_pair::KeyPair,
    provider::SecretProvider,
    reference::{SecretRef, SecretSource},
    resolve::{Secrets, SecretsBuilder},
    store::StoredSecrets,
};
