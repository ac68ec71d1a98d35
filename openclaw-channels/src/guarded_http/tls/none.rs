//! What stands for TLS in a program without it.

use std::{error::Error as StdError, io};

use openclaw_core::{Error, ErrorKind, Result};
use tokio::net::TcpStream;

/// There is none to choose from.
#[derive(Clone, Debug)]
pub(in crate::guarded_http) struct Tls;

/// Trusts nobody.
#[derive(Clone, Debug)]
pub(in crate::guarded_http) struct Trust;

/// Nothing makes one.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::guarded_http) enum Identity {}

/// Shakes no hands.
#[derive(Clone, Debug)]
pub(in crate::guarded_http) struct Handshake;

impl Tls {
    pub(in crate::guarded_http) const fn system() -> Self {
        Self
    }

    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "with TLS it reads, and fails"
    )]
    pub(in crate::guarded_http) const fn trust(&self) -> Result<Trust> {
        Ok(Trust)
    }
}

impl Trust {
    /// Says what to do for `https`.
    #[allow(clippy::unused_async, reason = "with TLS it waits")]
    pub(in crate::guarded_http) async fn shown_to(&self, _host: &str) -> Result<Option<Identity>> {
        let message = "https needs TLS, which is not part of this program: build \
                       openclaw-channels with its feature `http-client-tls`";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "with TLS it reads, and fails"
    )]
    pub(in crate::guarded_http) const fn handshake(
        &self,
        _shown: Option<&Identity>,
    ) -> Result<Handshake> {
        Ok(Handshake)
    }
}

impl Handshake {
    #[allow(clippy::unused_async, reason = "with TLS it waits")]
    pub(in crate::guarded_http) async fn shake(
        self,
        _host: &str,
        _stream: TcpStream,
    ) -> io::Result<Box<dyn super::super::connect::Stream>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What TLS said to a failure: nothing.
pub(in crate::guarded_http) fn failure(
    _e: &(dyn StdError + 'static),
) -> Option<(ErrorKind, &'static str)> {
    None
}
