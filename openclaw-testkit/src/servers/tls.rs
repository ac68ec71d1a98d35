//! Certificates of an authority that nobody else trusts, for servers and clients of a test.

use openclaw_core::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::error::ServerError;

/// An authority of its own, and the certificates it gives out.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_testkit::servers::ServerError> {
/// use openclaw_testkit::servers::{Authority, Redis};
///
/// let authority = Authority::new()?;
/// let builder = Redis::builder().tls(authority.server(&["127.0.0.1"])?);
/// let Some(redis) = builder.start_or_skip().await? else { return Ok(()) };
/// assert!(redis.url().starts_with("rediss://"));
/// // … a client that trusts authority.pem() connects to redis.url() …
/// assert!(authority.pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// # redis.stop().await
/// # }
/// ```
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Certificate {
    /// The certificate.
    pub chain: String,
    /// Its key.
    pub key: Secret,
    /// The authority of the clients that a server asks for certificates, if it does.
    pub clients: Option<String>,
}

impl Certificate {
    /// A server with this certificate turns clients away that have none of this authority.
    #[must_use]
    pub fn for_clients_of(mut self, authority: &Authority) -> Self {
        self.clients = Some(authority.pem.clone());
        self
    }
}

impl Authority {
    /// Makes an authority that no other test has.
    ///
    /// # Errors
    /// [`ServerError::Io`] when no certificate can be made.
    pub fn new() -> Result<Self, ServerError> {
        let make = || {
            let mut params = CertificateParams::new([])?;
            params.distinguished_name.push(DnType::CommonName, "an authority of a test");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            let key = KeyPair::generate()?;
            let pem = params.self_signed(&key)?.pem();
            Ok(Self { issuer: Issuer::new(params, key), pem })
        };
        make().map_err(failed)
    }

    /// Its own certificate, in PEM: what a client trusts.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate of a server of these names and addresses.
    ///
    /// # Errors
    /// [`ServerError::Io`] for a name that can't be one.
    pub fn server(&self, names: &[&str]) -> Result<Certificate, ServerError> {
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, 4000)
    }

    /// A certificate of a server that has expired in the year 2001.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn expired_server(&self, names: &[&str]) -> Result<Certificate, ServerError> {
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, 2001)
    }

    /// A certificate of a client.
    ///
    /// # Errors
    /// [`ServerError::Io`] when no certificate can be made.
    pub fn client(&self) -> Result<Certificate, ServerError> {
        self.sign(&[], ExtendedKeyUsagePurpose::ClientAuth, 4000)
    }

    fn sign(
        &self,
        names: &[&str],
        purpose: ExtendedKeyUsagePurpose,
        until: i32,
    ) -> Result<Certificate, ServerError> {
        let make = || {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, "of a test");
            params.extended_key_usages = vec![purpose];
            params.not_after = date_time_ymd(until, 1, 1);
            let key = KeyPair::generate()?;
            let chain = params.signed_by(&key, &self.issuer)?.pem();
            Ok(Certificate { chain, key: Secret::new(key.serialize_pem()), clients: None })
        };
        make().map_err(failed)
    }
}

fn failed(e: rcgen::Error) -> ServerError {
    ServerError::io("make a certificate")(std::io::Error::other(e))
}
