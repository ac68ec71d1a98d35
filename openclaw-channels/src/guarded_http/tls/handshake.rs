//! A handshake with a server of a known name.

use std::{fmt, io, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::guarded_http::{HostRule, connect::Stream};

/// What makes a connection one of TLS.
#[derive(Clone)]
pub(in crate::guarded_http) struct Handshake {
    bare: Arc<ClientConfig>,
    /// Shows who the client is, to these hosts.
    named: Option<(HostRule, Arc<ClientConfig>)>,
}

impl Handshake {
    pub(super) fn new(bare: ClientConfig, named: Option<(HostRule, ClientConfig)>) -> Self {
        Self { bare: Arc::new(bare), named: named.map(|(to, config)| (to, Arc::new(config))) }
    }

    /// Shakes hands with the server of this name, and checks its identity.
    pub(in crate::guarded_http) async fn shake(
        self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<Box<dyn Stream>> {
        let config = match self.named {
            Some((to, config)) if to.matches(host) => config,
            _ => self.bare,
        };
        // Addresses stand in brackets, absolute names end in a dot: not in certificates.
        let name = host.trim_start_matches('[').trim_end_matches([']', '.']).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(config).connect(name, stream).await?))
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}
