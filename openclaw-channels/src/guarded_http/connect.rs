//! The way to a server: looked up once, judged, and looked at again.

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, dns::Name},
    rt::TokioIo,
};
use openclaw_core::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time,
};
use tower_service::Service;

use super::{egress::EgressPolicy, resolve::Resolve, tls::Handshake};

/// So many addresses of a name are tried.
const MAX_ADDRESSES: usize = 16;

type Fault = Box<dyn StdError + Send + Sync>;
type Coming<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// Makes connections that a policy lets pass.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tcp: HttpConnector<Judged>,
    policy: Arc<EgressPolicy>,
    tls: Handshake,
    within: Duration,
}

impl Connector {
    pub(super) fn new(
        policy: Arc<EgressPolicy>,
        resolver: Arc<dyn Resolve>,
        tls: Handshake,
        within: Duration,
    ) -> Self {
        let judged = Judged { policy: Arc::clone(&policy), resolver };
        let mut tcp = HttpConnector::new_with_resolver(judged);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Divided among the addresses: one that is silent leaves time for the next.
        tcp.set_connect_timeout(Some(within));
        Self { tcp, policy, tls, within }
    }
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = Fault;
    type Future = Coming<Wire>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.tcp.call(to.clone());
        let (policy, tls, within) = (Arc::clone(&self.policy), self.tls.clone(), self.within);
        let connect = async move {
            let stream = connecting.await?.into_inner();
            policy.ip(stream.peer_addr()?.ip())?;
            let secure = to.scheme() == Some(&Scheme::HTTPS);
            let stream: Box<dyn Stream> = if secure {
                tls.shake(to.host().unwrap_or_default(), stream).await?
            } else {
                Box::new(stream)
            };
            Ok(Wire(TokioIo::new(stream)))
        };
        Box::pin(async move {
            let connected = time::timeout(within, connect).await;
            connected.unwrap_or_else(|_late| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

/// Looks names up, and passes on the addresses that a policy allows.
#[derive(Clone, Debug)]
struct Judged {
    policy: Arc<EgressPolicy>,
    resolver: Arc<dyn Resolve>,
}

impl Judged {
    async fn addresses(self, host: &str) -> Result<vec::IntoIter<SocketAddr>, Fault> {
        let found = self.resolver.resolve(host).await.map_err(Unresolved)?;
        let (mut good, mut bad) = (Vec::new(), None);
        for ip in found.into_iter().take(MAX_ADDRESSES) {
            match self.policy.ip(ip) {
                // The port is that of the request.
                Ok(()) => good.push(SocketAddr::new(ip, 0)),
                Err(refused) => bad = Some(refused),
            }
        }
        match bad {
            Some(refused) if good.is_empty() => Err(refused.into()),
            _ => Ok(good.into_iter()),
        }
    }
}

impl Service<Name> for Judged {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Fault;
    type Future = Coming<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let judged = self.clone();
        Box::pin(async move { judged.addresses(name.as_str()).await })
    }
}

/// A name whose addresses are not known.
#[derive(Debug)]
pub(super) struct Unresolved(pub(super) Error);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name can't be resolved")
    }
}

impl StdError for Unresolved {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// A stream of bytes, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection as hyper takes it.
pub(super) struct Wire(TokioIo<Box<dyn Stream>>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use openclaw_core::Result;
    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;
    use crate::guarded_http::{
        egress::Refused,
        tls::{Tls, Trust},
    };

    #[derive(Debug)]
    struct Nobody;

    #[async_trait::async_trait]
    impl Resolve for Nobody {
        async fn resolve(&self, _host: &str) -> Result<Vec<std::net::IpAddr>> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn a_peer_that_the_policy_refuses_is_told_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = Tls::system().trust().and_then(|trust: Trust| trust.handshake(None)).unwrap();
        let policy = Arc::new(EgressPolicy::public());
        let within = Duration::from_secs(5);
        let mut connector = Connector::new(policy, Arc::new(Nobody), tls, within);
        // A literal is connected to without a look-up.
        let to = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let Err(fault) = connector.call(to).await else { panic!("it has a connection") };
        assert!(fault.is::<Refused>(), "{fault}");
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
