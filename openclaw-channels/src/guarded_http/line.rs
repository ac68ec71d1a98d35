//! The connections that were made under one policy and one identity.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    connect::Connector,
    egress::EgressPolicy,
    resolve::Resolve,
    tls::{Handshake, Identity},
};

/// How long a connection may idle, and how many may for one origin.
const IDLE: Duration = Duration::from_secs(30);
const MAX_IDLE: usize = 32;

/// hyper takes no smaller buffer.
const MIN_HEAD: usize = 8192;

/// A policy, an identity, and the connections that they allowed: all three go together.
pub(super) struct Line {
    pub(super) policy: Arc<EgressPolicy>,
    pub(super) shown: Option<Identity>,
    pub(super) client: Client<Connector, Full<Bytes>>,
}

/// What is the same for every line of a client.
#[derive(Clone, Debug)]
pub(super) struct Wiring {
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) connect_timeout: Duration,
    pub(super) max_head: usize,
}

impl Wiring {
    pub(super) fn line(
        &self,
        policy: Arc<EgressPolicy>,
        shown: Option<Identity>,
        tls: Handshake,
    ) -> Line {
        let resolver = Arc::clone(&self.resolver);
        let connector = Connector::new(Arc::clone(&policy), resolver, tls, self.connect_timeout);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .http1_max_buf_size(self.max_head.max(MIN_HEAD))
            .build(connector);
        Line { policy, shown, client }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("policy", &self.policy).finish_non_exhaustive()
    }
}
