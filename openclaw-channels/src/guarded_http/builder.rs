//! The settings of the client.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::Result;

use super::{
    Client, GuardedHttp,
    egress::EgressPolicy,
    line::Wiring,
    resolve::{Resolve, System},
    tls::Tls,
};

/// Makes a [`GuardedHttp`].
#[derive(Clone, Debug)]
#[must_use]
pub struct GuardedHttpBuilder {
    policy: EgressPolicy,
    wiring: Wiring,
    tls: Tls,
    limits: Limits,
}

/// What one exchange may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) max_response: usize,
    pub(super) max_ratio: usize,
    pub(super) redirects: usize,
}

impl GuardedHttpBuilder {
    pub(super) fn new() -> Self {
        Self {
            policy: EgressPolicy::public(),
            wiring: Wiring {
                resolver: Arc::new(System),
                connect_timeout: Duration::from_secs(5),
                max_head: 64 << 10,
            },
            tls: Tls::system(),
            limits: Limits {
                timeout: Duration::from_secs(30),
                max_response: 4 << 20,
                max_ratio: 100,
                redirects: 0,
            },
        }
    }

    /// Where requests may go. To public addresses, by `https`.
    pub fn policy(mut self, policy: EgressPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Who finds the addresses of a name. The operating system.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.wiring.resolver = Arc::new(resolver);
        self
    }

    /// Which servers are trusted, and who the client says it is. Those of the system, nobody.
    #[cfg(feature = "http-client-tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// The longest an exchange may take, body included. 30 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// How long connecting may take, look-up and handshake included. 5 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.wiring.connect_timeout = timeout;
        self
    }

    /// The longest response body, in bytes: as it comes, and decompressed. 4 MiB.
    pub const fn max_response(mut self, bytes: usize) -> Self {
        self.limits.max_response = bytes;
        self
    }

    /// The longest head of a response, in bytes. 64 KiB; 8 KiB at least.
    pub const fn max_response_head(mut self, bytes: usize) -> Self {
        self.wiring.max_head = bytes;
        self
    }

    /// How many times its size a compressed body may grow. 100. Its first 64 KiB don't count.
    pub const fn max_ratio(mut self, times: usize) -> Self {
        self.limits.max_ratio = times;
        self
    }

    /// How many redirects are followed. None.
    pub const fn redirects(mut self, redirects: usize) -> Self {
        self.limits.redirects = redirects;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when the authorities it was given can't be read.
    pub fn build(self) -> Result<GuardedHttp> {
        let Self { policy, wiring, tls, limits } = self;
        let trust = tls.trust()?;
        let line = wiring.line(Arc::new(policy), None, trust.handshake(None)?);
        let line = Mutex::new(Arc::new(line));
        Ok(GuardedHttp(Arc::new(Client { limits, wiring, trust, line })))
    }
}
