//! TLS to a server: what an address says about it, and who is trusted.

#[cfg(feature = "tls")]
mod connector;
#[cfg(not(feature = "tls"))]
mod none;
#[cfg(feature = "tls")]
mod trust;

use std::path::PathBuf;

#[cfg(feature = "tls")]
pub(super) use self::connector::{Connector, refusal};
#[cfg(not(feature = "tls"))]
pub(super) use self::none::{Connector, Tls, refusal};
#[cfg(feature = "tls")]
pub use self::trust::Tls;
use crate::traits::store::StoreError;

/// The files that an address names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// The authorities, instead of the system's.
    pub(super) roots: Option<PathBuf>,
    /// The certificate of this client, with what leads to its authority.
    pub(super) chain: Option<PathBuf>,
    /// Its key.
    pub(super) key: Option<PathBuf>,
}

impl Files {
    /// Takes a parameter of an address when it is one of these.
    pub(super) fn take(&mut self, name: &str, file: &str) -> bool {
        let place = match name {
            "sslrootcert" => &mut self.roots,
            "sslcert" => &mut self.chain,
            "sslkey" => &mut self.key,
            _ => return false,
        };
        *place = Some(PathBuf::from(plain(file)));
        true
    }

    /// Makes what connects: by the builder's word, else by these files.
    ///
    /// The protocol is what a server may want to be told that comes behind the handshake.
    pub(super) fn connector(
        self,
        own: Option<&Tls>,
        protocol: Option<&[u8]>,
    ) -> Result<Connector, StoreError> {
        match own {
            Some(_) if self != Self::default() => Err(StoreError::Unsupported(
                "certificates in the address and in the builder: name them in one place".to_owned(),
            )),
            Some(tls) => tls.connector(protocol),
            None => Tls::from_files(self)?.connector(protocol),
        }
    }
}

/// Resolves `%xx`; what is none stays as it is.
pub(super) fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let [first, rest @ ..] = left {
        let code = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                left = rest.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                left = rest;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
