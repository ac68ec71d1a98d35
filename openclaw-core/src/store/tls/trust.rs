//! Whom a store trusts, and who it says it is.

use std::{fmt, fs, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{Files, connector::Connector};
use crate::{Secret, traits::store::StoreError};

/// Whom a store trusts over TLS, and who it says it is.
///
/// A server has to show a certificate for the name in the address, from an authority that is
/// trusted: there is no way around it, and no way back to a plain connection. TLS is 1.2 or 1.3.
/// The cryptography is that of the process, where the host has installed a default provider of
/// rustls; else it is `ring`.
///
/// Files are read when the store is opened; a renewed one counts from the next opening on.
///
/// ```
/// # #[cfg(feature = "postgres")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use openclaw_core::{Secret, store::{PostgresStore, StoreError, Tls}};
///
/// let key = Secret::new("no PEM at all");
/// let tls = Tls::roots_from_file("/nowhere/ca.pem").identity_from_pem("no PEM either", key);
/// let opened = PostgresStore::builder().tls(tls).open("postgres://app@db.internal/state").await;
/// let Err(StoreError::Unsupported(why)) = opened else { panic!("it opened") };
/// assert!(why.contains("/nowhere/ca.pem"), "{why}");
/// # }
/// # #[cfg(not(feature = "postgres"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Tls {
    /// `None`: those of the system.
    roots: Option<Pem>,
    identity: Option<(Pem, Key)>,
}

#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Key {
    File(PathBuf),
    Text(Secret),
}

impl Tls {
    /// Trusts the authorities that this system trusts.
    #[must_use]
    pub const fn system() -> Self {
        Self { roots: None, identity: None }
    }

    /// Trusts the authorities in this PEM text, and no others.
    #[must_use]
    pub fn roots_from_pem(pem: impl Into<Vec<u8>>) -> Self {
        Self { roots: Some(Pem::Text(pem.into())), identity: None }
    }

    /// Trusts the authorities in this PEM file, and no others.
    #[must_use]
    pub fn roots_from_file(file: impl Into<PathBuf>) -> Self {
        Self { roots: Some(Pem::File(file.into())), identity: None }
    }

    /// Shows this certificate to a server that asks for one.
    ///
    /// The chain begins with the client's own certificate; the key is its PKCS #8, PKCS #1 or
    /// SEC1 key, without a password.
    #[must_use]
    pub fn identity_from_pem(mut self, chain: impl Into<Vec<u8>>, key: Secret) -> Self {
        self.identity = Some((Pem::Text(chain.into()), Key::Text(key)));
        self
    }

    /// Shows the certificate in these PEM files to a server that asks for one.
    #[must_use]
    pub fn identity_from_files(
        mut self,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.identity = Some((Pem::File(chain.into()), Key::File(key.into())));
        self
    }

    /// What the files of an address say.
    pub(super) fn from_files(files: Files) -> Result<Self, StoreError> {
        let tls = files.roots.map_or_else(Self::system, Self::roots_from_file);
        match (files.chain, files.key) {
            (Some(chain), Some(key)) => Ok(tls.identity_from_files(chain, key)),
            (None, None) => Ok(tls),
            _ => Err(unusable("a client has a certificate and its key: name sslcert and sslkey")),
        }
    }

    /// Reads everything.
    pub(super) fn connector(&self, protocol: Option<&[u8]>) -> Result<Connector, StoreError> {
        let provider = CryptoProvider::get_default()
            .map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone);
        let failed = |e: rustls::Error| unusable(&format!("{e}"));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(self.roots()?);
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                config.with_client_auth_cert(chain.certificates()?, key.read()?).map_err(failed)?
            }
        };
        config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
        Ok(Connector::new(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, StoreError> {
        let mut roots = RootCertStore::empty();
        let Some(pem) = &self.roots else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(unusable("this system trusts no authority: name one"));
            }
            return Ok(roots);
        };
        for certificate in pem.certificates()? {
            let broken = |e| unusable(&format!("{pem:?}: a certificate can't be used: {e}"));
            roots.add(certificate).map_err(broken)?;
        }
        Ok(roots)
    }
}

impl Pem {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, StoreError> {
        let text = match self {
            Self::File(file) => fs::read(file).map_err(|e| unread(self, &e))?,
            Self::Text(text) => text.clone(),
        };
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = read.map_err(|e| unread(self, &e))?;
        if certificates.is_empty() {
            return Err(unread(self, &"there is no certificate in it"));
        }
        Ok(certificates)
    }
}

impl Key {
    fn read(&self) -> Result<PrivateKeyDer<'static>, StoreError> {
        // The words of the reader may repeat what it read.
        let read = match self {
            Self::File(file) => PrivateKeyDer::from_pem_file(file),
            Self::Text(text) => PrivateKeyDer::from_pem_slice(text.expose().as_bytes()),
        };
        let why = "no private key that can be read: PKCS #8 in PEM, without a password";
        read.map_err(|_its_words| match self {
            Self::File(file) => unusable(&format!("{}: {why}", file.display())),
            Self::Text(_) => unusable(&format!("the key of the client: {why}")),
        })
    }
}

/// Where it is from, and not what it says.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Text(_) => f.write_str("the PEM given"),
        }
    }
}

fn unread(pem: &Pem, why: &dyn fmt::Display) -> StoreError {
    unusable(&format!("{pem:?}: {why}: name PEM certificates"))
}

fn unusable(why: &str) -> StoreError {
    StoreError::Unsupported(format!("TLS as it was asked for: {why}"))
}
