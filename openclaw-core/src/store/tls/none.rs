//! What stands for TLS in a program without it.

use std::{convert::Infallible, error::Error, future::Ready, io};

use super::Files;
use crate::traits::store::StoreError;

/// Nothing makes one.
#[derive(Clone, Debug)]
pub(in crate::store) enum Tls {}

/// Nothing makes one.
#[derive(Clone, Debug)]
pub(in crate::store) struct Connector(Infallible);

impl Tls {
    pub(super) fn from_files(_files: Files) -> Result<Self, StoreError> {
        Err(StoreError::Unsupported(
            "TLS, which is not part of this program: build openclaw-core with its feature `tls`, \
             or write sslmode=disable to postgres, redis: and not rediss: to redis"
                .to_owned(),
        ))
    }

    pub(super) fn connector(&self, _protocol: Option<&[u8]>) -> Result<Connector, StoreError> {
        match *self {}
    }
}

impl Connector {
    /// Never called.
    #[allow(dead_code, reason = "for redis alone")]
    pub(in crate::store) fn connect<S>(&self, _host: &str, _stream: S) -> Ready<io::Result<S>> {
        match self.0 {}
    }
}

/// Nothing is refused where nobody asks.
pub(in crate::store) fn refusal(_e: &(dyn Error + 'static)) -> Option<String> {
    None
}
