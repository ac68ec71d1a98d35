//! A handshake, and what is said when it fails.

use std::{error::Error, fmt, io, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as TlsError, pki_types::ServerName,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What makes a stream one of TLS; it knows whom to trust.
#[derive(Clone)]
pub(in crate::store) struct Connector(Arc<ClientConfig>);

impl Connector {
    pub(super) const fn new(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }

    /// Shakes hands with the server of this name, and checks that it is that one.
    pub(in crate::store) async fn connect<S>(
        &self,
        host: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let nameless = |_| io::Error::other(format!("{host:?} is no name for a certificate"));
        let name = ServerName::try_from(host.to_owned()).map_err(nameless)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// The refusal by TLS that is among the causes of an error: of the server by us, or the other
/// way round.
pub(in crate::store) fn refusal(e: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(e);
    while let Some(e) = cause {
        if let Some(refused) = e.downcast_ref::<TlsError>() {
            return Some(words(refused));
        }
        // Neither names what it holds as its source.
        let io = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let shared = e.downcast_ref::<Arc<dyn Error + Send + Sync>>().map(AsRef::as_ref);
        cause = io.or(shared).map(|held| held as &(dyn Error + 'static)).or_else(|| e.source());
    }
    None
}

fn words(e: &TlsError) -> String {
    use CertificateError as C;
    let why = match e {
        TlsError::InvalidCertificate(why) => match why {
            C::UnknownIssuer | C::BadSignature => {
                "its certificate is from an authority that is not trusted here: name that \
                 authority, by sslrootcert or `Tls`"
            }
            C::Expired | C::ExpiredContext { .. } => {
                "its certificate has expired: renew it, or set the clock of this machine"
            }
            C::NotValidYet | C::NotValidYetContext { .. } => {
                "its certificate is not valid yet: set the clock of this machine"
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "its certificate is for another name: use that one, or renew it with this one"
            }
            other => return format!("its certificate can't be trusted ({other:?}): renew it"),
        },
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => "it wants a certificate of this client: give one, by sslcert and sslkey or `Tls`",
        TlsError::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => "it does not accept this client's certificate: give one of an authority it trusts",
        TlsError::InvalidMessage(_) => "it does not speak TLS: look at its port and its settings",
        other => return format!("TLS failed: {other}"),
    };
    why.to_owned()
}
