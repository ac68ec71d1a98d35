//! What is said when TLS fails, and what to do about it.

use std::{error::Error as StdError, io};

use openclaw_core::ErrorKind;
use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// What TLS said to a failure, if it is among the causes. Of the server by us, or the other way.
pub(in crate::guarded_http) fn failure(
    e: &(dyn StdError + 'static),
) -> Option<(ErrorKind, &'static str)> {
    let mut cause = Some(e);
    while let Some(e) = cause {
        if let Some(refused) = e.downcast_ref::<TlsError>() {
            return Some(words(refused));
        }
        // It does not name what it holds as its source.
        let held = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = held.map(|held| held as &(dyn StdError + 'static)).or_else(|| e.source());
    }
    None
}

fn words(e: &TlsError) -> (ErrorKind, &'static str) {
    use AlertDescription as A;
    match e {
        TlsError::InvalidCertificate(why) => (ErrorKind::PermissionDenied, distrust(why)),
        TlsError::AlertReceived(A::CertificateRequired | A::HandshakeFailure) => (
            ErrorKind::AuthenticationFailed,
            "the server wants a certificate of this client: give one, by `Tls::identity`",
        ),
        TlsError::AlertReceived(
            A::BadCertificate
            | A::UnknownCA
            | A::CertificateExpired
            | A::CertificateRevoked
            | A::CertificateUnknown
            | A::UnsupportedCertificate
            | A::DecryptError
            | A::AccessDenied,
        ) => (
            ErrorKind::AuthenticationFailed,
            "the server does not accept this client's certificate: give one it trusts",
        ),
        TlsError::InvalidMessage(_) => {
            (ErrorKind::Unavailable, "the server does not speak TLS: look at its port, or use http")
        }
        _ => (ErrorKind::Unavailable, "TLS with the server failed"),
    }
}

const fn distrust(why: &CertificateError) -> &'static str {
    use CertificateError as C;
    match why {
        C::UnknownIssuer | C::BadSignature => {
            "the server's certificate is from an authority that is not trusted here: name that \
             authority, by `Tls::roots_from_pem`"
        }
        C::Expired | C::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it, or set the clock of this machine"
        }
        C::NotValidYet | C::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: set the clock of this machine"
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            "the server's certificate is for another name: call it by that one"
        }
        _ => "the server's certificate can't be trusted: renew it",
    }
}
