//! Where requests may go: pure rules over schemes, ports, host names and addresses.

mod config;
mod host;
mod network;
mod refused;
mod special;

use std::{collections::BTreeSet, net::IpAddr};

use openclaw_core::Result;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

pub(super) use self::refused::Refused;
pub use self::{host::HostRule, network::Network};

/// Where requests may go.
///
/// The one that [`EgressPolicy::public`] makes lets `https` pass, to port 443 of public
/// addresses. Everything else has to be named: plain `http`, other ports, other networks.
///
/// * An address is read as the WHATWG URL standard says, so that `127.1`, `0x7f.1` and
///   `2130706433` are what a resolver would make of them.
/// * Special networks of the IANA registries are refused, also where a name leads to them: private,
///   loopback, link-local, shared, documentation, benchmarks, multicast, reserved.
/// * What a mapped address, a translator (NAT64) or a tunnel (6to4, Teredo) leads to is judged
///   too: who allows `64:ff9b::/96` allows what is public inside.
/// * The metadata services of clouds are refused by address and by name, even inside a network
///   that is allowed. Only a rule for that single address opens it.
/// * A rule that denies overrides one that allows.
///
/// ```
/// use openclaw_channels::guarded_http::EgressPolicy;
/// use openclaw_core::{ErrorKind, Happened};
///
/// let policy = EgressPolicy::public();
/// assert!(policy.check("https://api.shop.test/orders").is_ok());
///
/// let e = policy.check("https://0x7f.1/orders?token=s3cr3t").unwrap_err();
/// assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::No));
/// assert_eq!(
///     e.to_string(),
///     "PERMISSION_DENIED: the egress policy refuses the address \
///      (rule=network 127.0.0.0/8: loopback)",
/// );
///
/// let office = policy.allow_network("10.20.0.0/16".parse()?).allow_port(8443);
/// assert!(office.check("https://10.20.0.7:8443/").is_ok());
/// assert!(office.check("https://10.21.0.7:8443/").is_err());
/// # Ok::<_, openclaw_core::Error>(())
/// ```
///
/// It is data, too: [`from_json`](Self::from_json) reads it, and it is a part of any other
/// configuration with serde. An unknown field is refused, and so is an empty list, which could be
/// meant as "none" and as "all".
///
/// | field | what | unless said otherwise |
/// |---|---|---|
/// | `http` | may plain `http` pass? | `false` |
/// | `ports` | a list of ports, or `"any"` | `[443]`, and 80 where `http` passes |
/// | `public` | may public addresses be called? | `true` |
/// | `networks` | `allow` and `deny`: lists of [`Network`]s | neither |
/// | `hosts` | `allow` and `deny`: lists of [`HostRule`]s; once one is allowed, all others are refused | neither |
///
/// ```
/// use openclaw_channels::guarded_http::EgressPolicy;
///
/// let policy = EgressPolicy::from_json(r#"{
///     "ports": [443, 8443],
///     "networks": { "allow": ["10.20.0.0/16"] },
///     "hosts": { "allow": ["*.shop.test", "10.20.0.7"] }
/// }"#)?;
/// assert!(policy.check("https://10.20.0.7:8443/").is_ok());
/// assert!(policy.check("https://evil.test/").is_err());
///
/// let e = EgressPolicy::from_json(r#"{ "hosts": { "deni": ["evil.test"] } }"#).unwrap_err();
/// assert!(e.to_string().contains("hosts.deni"));
/// # Ok::<_, openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "config::Config", into = "config::Config")]
#[must_use]
pub struct EgressPolicy {
    http: bool,
    ports: Ports,
    public: bool,
    networks: Allowed<Network>,
    hosts: Allowed<HostRule>,
}

/// The ports that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    Any,
    These(BTreeSet<u16>),
}

/// What is allowed by name, and what is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Deserialize<'de>"))]
struct Allowed<T> {
    #[serde(default = "Vec::new", deserialize_with = "config::some")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<T>,
    #[serde(default = "Vec::new", deserialize_with = "config::some")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny: Vec<T>,
}

impl<T> Allowed<T> {
    const fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

impl<T> Default for Allowed<T> {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Vec::new() }
    }
}

impl Default for EgressPolicy {
    fn default() -> Self {
        Self::public()
    }
}

impl EgressPolicy {
    /// Lets `https` pass, to port 443 of public addresses.
    pub fn public() -> Self {
        Self {
            http: false,
            ports: Ports::These(BTreeSet::from([443])),
            public: true,
            networks: Allowed::default(),
            hosts: Allowed::default(),
        }
    }

    /// Lets `https` pass, to port 443 of these networks and nowhere else.
    pub fn within(networks: impl IntoIterator<Item = Network>) -> Self {
        let networks = Allowed { allow: networks.into_iter().collect(), deny: Vec::new() };
        Self { public: false, networks, ..Self::public() }
    }

    /// Lets `http` and `https` pass to this machine only, on any port: for tests.
    pub fn loopback() -> Self {
        let v6 = Network::only(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST));
        Self::within([Network::v4([127, 0, 0, 0], 8), v6]).allow_http().allow_any_port()
    }

    /// Lets plain `http` pass too, and port 80. Anybody on the way reads and changes it.
    pub fn allow_http(mut self) -> Self {
        self.http = true;
        self.allow_port(80)
    }

    /// Lets this port pass too.
    pub fn allow_port(mut self, port: u16) -> Self {
        if let Ports::These(ports) = &mut self.ports {
            ports.insert(port);
        }
        self
    }

    /// Lets every port pass.
    pub fn allow_any_port(mut self) -> Self {
        self.ports = Ports::Any;
        self
    }

    /// Lets this network pass, special or not.
    pub fn allow_network(mut self, network: Network) -> Self {
        self.networks.allow.push(network);
        self
    }

    /// Refuses this network, public or not.
    pub fn deny_network(mut self, network: Network) -> Self {
        self.networks.deny.push(network);
        self
    }

    /// Lets this host pass. Once one is named, all others are refused.
    ///
    /// Its addresses are judged all the same.
    pub fn allow_host(mut self, host: HostRule) -> Self {
        self.hosts.allow.push(host);
        self
    }

    /// Refuses this host.
    pub fn deny_host(mut self, host: HostRule) -> Self {
        self.hosts.deny.push(host);
        self
    }

    /// May a request go to this address (a URL)? A name is not looked up here.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` with the rule that refused it, `VALIDATION_ERROR` when it is no
    /// address. Neither quotes it.
    pub fn check(&self, address: &str) -> Result<()> {
        let url = parsed(address)?;
        Ok(self.url(&url)?)
    }

    /// May a connection go to this address?
    ///
    /// # Errors
    /// `PERMISSION_DENIED` with the rule that refused it.
    pub fn check_ip(&self, ip: IpAddr) -> Result<()> {
        Ok(self.ip(ip)?)
    }

    /// What [`Self::check`] says of an address that was read already.
    pub(super) fn url(&self, url: &Url) -> Result<(), Refused> {
        match url.scheme() {
            "https" => {}
            "http" if self.http => {}
            "http" => return Err(Refused::by("scheme http: https only")),
            _ => return Err(Refused::malformed("it begins with https:// or http://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::malformed("no credentials in it: use a header"));
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if matches!(&self.ports, Ports::These(ports) if !ports.contains(&port)) {
            return Err(Refused::by(format!("port {port}")));
        }
        self.host(url.host_str().unwrap_or_default())?;
        match url.host() {
            Some(Host::Ipv4(ip)) => self.ip(ip.into()),
            Some(Host::Ipv6(ip)) => self.ip(ip.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    fn host(&self, host: &str) -> Result<(), Refused> {
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() {
            return Err(Refused::malformed("it names a host"));
        }
        let denied = self.hosts.deny.iter().find(|rule| rule.holds(host));
        if let Some(rule) = denied {
            return Err(Refused::by(format!("host {rule}")));
        }
        if special::is_metadata_host(host) {
            return Err(Refused::by("host: metadata of a cloud"));
        }
        let named =
            self.hosts.allow.is_empty() || self.hosts.allow.iter().any(|rule| rule.holds(host));
        if named { Ok(()) } else { Err(Refused::by("host: none of those allowed")) }
    }

    /// Judges an address, and the one that a translator or tunnel makes of it.
    pub(super) fn ip(&self, ip: IpAddr) -> Result<(), Refused> {
        let ip = ip.to_canonical();
        self.outer(ip)?;
        match ip {
            IpAddr::V6(ip) => special::inner(ip).map_or(Ok(()), |inner| self.outer(inner.into())),
            IpAddr::V4(_) => Ok(()),
        }
    }

    fn outer(&self, ip: IpAddr) -> Result<(), Refused> {
        let refused =
            |network: &Network, why| Err(Refused::by(format!("network {network}: {why}")));
        if let Some(network) = self.networks.deny.iter().find(|network| network.contains(ip)) {
            return refused(network, "denied");
        }
        if self.networks.allow.contains(&Network::only(ip)) {
            return Ok(());
        }
        if special::is_metadata(ip) {
            return refused(&Network::only(ip), "metadata of a cloud");
        }
        if self.networks.allow.iter().any(|network| network.contains(ip)) {
            return Ok(());
        }
        match special::network(ip) {
            Some((network, why)) => refused(&network, why),
            None if self.public => Ok(()),
            None => Err(Refused::by("network: none of those allowed")),
        }
    }
}

/// Reads an address as browsers do.
pub(super) fn parsed(address: &str) -> Result<Url, Refused> {
    Url::parse(address).map_err(|_why| Refused::malformed("it is no URL: write https://host/path"))
}
