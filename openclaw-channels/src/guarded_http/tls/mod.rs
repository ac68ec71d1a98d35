//! TLS: which servers are trusted, and who this client says it is.

#[cfg(feature = "http-client-tls")]
mod handshake;
#[cfg(feature = "http-client-tls")]
mod identity;
#[cfg(not(feature = "http-client-tls"))]
mod none;
#[cfg(feature = "http-client-tls")]
mod trust;
#[cfg(feature = "http-client-tls")]
mod words;

#[cfg(not(feature = "http-client-tls"))]
pub(super) use self::none::{Handshake, Identity, Tls, Trust, failure};
#[cfg(feature = "http-client-tls")]
pub(super) use self::{handshake::Handshake, trust::Trust, words::failure};
#[cfg(feature = "http-client-tls")]
pub use self::{
    identity::{ClientIdentity, Identity},
    trust::Tls,
};
