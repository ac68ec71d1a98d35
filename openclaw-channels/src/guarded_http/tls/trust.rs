//! Which servers a client trusts, and to which it shows who it is.

use std::{fmt, sync::Arc};

use openclaw_core::{Error, ErrorKind, Happened, Result};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{
    handshake::Handshake,
    identity::{ClientIdentity, Identity},
};
use crate::guarded_http::HostRule;

/// Which servers an HTTP client trusts, and who it says it is.
///
/// A server has to show a certificate for the name in the address, from an authority that is
/// trusted: there is no way around it. TLS is 1.2 or 1.3. The cryptography is that of the
/// process, where the host has installed a default provider of rustls; else it is `ring`.
///
/// ```
/// use openclaw_channels::guarded_http::{GuardedHttp, Tls};
/// use openclaw_core::ErrorKind;
///
/// let e = GuardedHttp::builder().tls(Tls::roots_from_pem("no PEM at all")).build().unwrap_err();
/// assert_eq!(e.kind(), ErrorKind::ValidationError);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// `None`: those of the system.
    roots: Option<Pem>,
    identity: Option<Shown>,
}

#[derive(Clone)]
struct Pem(Arc<[u8]>);

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the PEM given")
    }
}

/// To whom an identity is shown.
#[derive(Clone, Debug)]
struct Shown {
    to: HostRule,
    identity: Arc<dyn ClientIdentity>,
}

impl Tls {
    /// Trusts the authorities that this system trusts when the client is built.
    #[must_use]
    pub const fn system() -> Self {
        Self { roots: None, identity: None }
    }

    /// Trusts the authorities in this PEM text, and no others.
    #[must_use]
    pub fn roots_from_pem(pem: impl Into<Vec<u8>>) -> Self {
        Self { roots: Some(Pem(pem.into().into())), identity: None }
    }

    /// Shows this identity to servers of these names that ask, and to no others.
    #[must_use]
    pub fn identity(mut self, to: HostRule, identity: impl ClientIdentity) -> Self {
        self.identity = Some(Shown { to, identity: Arc::new(identity) });
        self
    }

    /// Reads the authorities.
    pub(in crate::guarded_http) fn trust(&self) -> Result<Trust> {
        let mut roots = RootCertStore::empty();
        match &self.roots {
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Some(pem) => {
                for certificate in certificates(&pem.0, "the authorities")? {
                    roots.add(certificate).map_err(|e| unusable("the authorities", &e))?;
                }
            }
        }
        let provider = CryptoProvider::get_default()
            .map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone);
        Ok(Trust { provider, roots: Arc::new(roots), shown: self.identity.clone() })
    }
}

/// [`Tls`], with everything read that does not change.
#[derive(Clone, Debug)]
pub(in crate::guarded_http) struct Trust {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    shown: Option<Shown>,
}

impl Trust {
    /// The identity for this host as of now, if it is shown any.
    pub(in crate::guarded_http) async fn shown_to(&self, host: &str) -> Result<Option<Identity>> {
        if self.roots.is_empty() {
            let message = "this system trusts no authority: name one, by `Tls::roots_from_pem`";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        match &self.shown {
            Some(shown) if shown.to.matches(host) => {
                let current = shown.identity.current().await;
                current.map(Some).map_err(|e| e.with_happened(Happened::No))
            }
            _ => Ok(None),
        }
    }

    pub(in crate::guarded_http) fn handshake(&self, shown: Option<&Identity>) -> Result<Handshake> {
        let bare = self.config()?.with_no_client_auth();
        let named = match (shown, &self.shown) {
            (Some(identity), Some(Shown { to, .. })) => {
                const WHAT: &str = "the certificate of the client";
                let chain = certificates(identity.chain().as_bytes(), WHAT)?;
                let config = self.config()?.with_client_auth_cert(chain, key(identity)?);
                Some((to.clone(), config.map_err(|e| unusable(WHAT, &e))?))
            }
            _ => None,
        };
        Ok(Handshake::new(bare, named))
    }

    fn config(&self) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable("the provider of cryptography", &e))?;
        Ok(config.with_root_certificates(Arc::clone(&self.roots)))
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|e| unusable(what, &e))?;
    if certificates.is_empty() {
        return Err(unusable(what, &"there is no PEM certificate in it"));
    }
    Ok(certificates)
}

fn key(identity: &Identity) -> Result<PrivateKeyDer<'static>> {
    // The words of the reader may repeat what it read.
    PrivateKeyDer::from_pem_slice(identity.key().expose().as_bytes()).map_err(|_its_words| {
        unusable("the key of the client", &"it is no PKCS #8 key in PEM, without a password")
    })
}

fn unusable(what: &str, why: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::ValidationError, "what TLS was given can't be used")
        .with("what", what)
        .with("why", why)
        .with_happened(Happened::No)
}
