//! TLS as the client of postgres takes it, with the channel bound to its certificate.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::client;

use crate::store::tls::Connector;

/// What shakes hands with whatever host is connected to.
#[derive(Clone)]
pub(super) struct Handshakes(pub(super) Connector);

/// What shakes hands with one host.
pub(super) struct Handshake {
    connector: Connector,
    host: String,
}

/// A connection under TLS.
pub(super) struct Stream<S>(client::TlsStream<S>);

impl<S> MakeTlsConnect<S> for Handshakes
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        Ok(Handshake { connector: self.0.clone(), host: host.to_owned() })
    }
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.connector.connect(&self.host, stream).await.map(Stream) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates().unwrap_or_default();
        let end_point = certificates.first().and_then(|certificate| end_point(certificate));
        end_point.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

/// `sha*WithRSAEncryption` and `ecdsa-with-SHA*` begin like this.
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
const ECDSA: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03];

/// The `tls-server-end-point` of RFC 5929: the certificate by the hash that it is signed with.
///
/// `None` where that hash is not defined: then the channel is not bound.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (parts, _) = element(certificate)?;
    let (_signed, rest) = element(parts)?;
    let (algorithm, _) = element(rest)?;
    let (id, _) = element(algorithm)?;
    let hash = |last: u8| match (id.strip_prefix(RSA), id.strip_prefix(ECDSA)) {
        (Some([rsa]), _) => *rsa == 0x09 + last,
        (_, Some([ecdsa])) => *ecdsa == last,
        _ => false,
    };
    match [2, 3, 4].map(hash) {
        [true, ..] => Some(Sha256::digest(certificate).to_vec()),
        [_, true, _] => Some(Sha384::digest(certificate).to_vec()),
        [.., true] => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The content of the first element of DER, and what stands behind it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_tag, length, rest @ ..] = der else { return None };
    if *length < 0x80 {
        return rest.split_at_checked(usize::from(*length));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(*length & 0x7F))?;
    let length = digits.iter().try_fold(0_usize, |length, digit| {
        length.checked_mul(256)?.checked_add(usize::from(*digit))
    });
    rest.split_at_checked(length?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed_with(id: &[u8]) -> Vec<u8> {
        let der =
            |content: &[u8]| [&[0x30, u8::try_from(content.len()).unwrap()][..], content].concat();
        let parts = [der(b"signed"), der(&der(id)), der(b"signature")].concat();
        // A long form of the length, as real certificates have.
        [&[0x30, 0x82, 0, u8::try_from(parts.len()).unwrap()][..], &parts].concat()
    }

    #[test]
    fn a_channel_is_bound_by_the_hash_of_the_signature() {
        for (family, last, bytes) in [
            (RSA, 0x0B, Some(32)),
            (RSA, 0x0C, Some(48)),
            (RSA, 0x0D, Some(64)),
            (RSA, 0x0E, None),
            (ECDSA, 2, Some(32)),
            (ECDSA, 3, Some(48)),
            (ECDSA, 4, Some(64)),
            (&[0x2B, 0x65], 0x70, None),
        ] {
            let certificate = signed_with(&[family, &[last]].concat());
            assert_eq!(end_point(&certificate).map(|hash| hash.len()), bytes, "{last}");
            for cut in 0..certificate.len() {
                assert_eq!(end_point(&certificate[..cut]), None, "cut at {cut}");
            }
        }
    }
}
