//! The policy as data: what a host writes down, or reads from a file.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use openclaw_core::{Error, ErrorKind, Limits, Result, json};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

use super::{Allowed, EgressPolicy, HostRule, Network, Ports};

/// The fields of a policy, as they are written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    http: bool,
    ports: Option<Ports>,
    public: bool,
    #[serde(skip_serializing_if = "Allowed::is_empty")]
    networks: Allowed<Network>,
    #[serde(skip_serializing_if = "Allowed::is_empty")]
    hosts: Allowed<HostRule>,
}

impl Default for Config {
    fn default() -> Self {
        let (networks, hosts) = (Allowed::default(), Allowed::default());
        Self { http: false, ports: None, public: true, networks, hosts }
    }
}

impl From<Config> for EgressPolicy {
    fn from(config: Config) -> Self {
        let Config { http, ports, public, networks, hosts } = config;
        let usual = Self { public, networks, hosts, ..Self::public() };
        let policy = if http { usual.allow_http() } else { usual };
        let ports = ports.unwrap_or_else(|| policy.ports.clone());
        Self { ports, ..policy }
    }
}

impl From<EgressPolicy> for Config {
    fn from(policy: EgressPolicy) -> Self {
        let EgressPolicy { http, ports, public, networks, hosts } = policy;
        Self { http, ports: Some(ports), public, networks, hosts }
    }
}

impl EgressPolicy {
    /// Reads JSON.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of what can't be read; an unknown field is one.
    pub fn from_json(text: &str) -> Result<Self> {
        let value = json::parse(text.as_bytes(), &Limits::default())
            .map_err(|e| unreadable(&e.pointer, &e.reason))?;
        // Serde would take lists for objects, too.
        let listed = |part: &&str| value.get(part).is_some_and(|held| !held.is_object());
        let odd = ["networks", "hosts"].iter().find(|part| listed(part));
        if let Some(path) = odd.copied().or((!value.is_object()).then_some("")) {
            return Err(unreadable(path, "it is not an object"));
        }
        serde_path_to_error::deserialize(&value)
            .map_err(|e| unreadable(&e.path().to_string(), &e.inner().to_string()))
    }
}

fn unreadable(path: &str, why: &str) -> Error {
    let message = format!("the egress policy can't be read at {path:?}: {why}");
    Error::new(ErrorKind::ValidationError, message).with("at", path)
}

/// A list with something in it. An empty one could be meant as "none" and as "all".
pub(super) fn some<'de, D, T>(d: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::deserialize(d)?;
    if list.is_empty() { Err(de::Error::custom(EMPTY)) } else { Ok(list) }
}

const EMPTY: &str = "an empty list says nothing: leave it out";

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(PortsVisitor)
    }
}

struct PortsVisitor;

impl<'de> Visitor<'de> for PortsVisitor {
    type Value = Ports;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of ports, or \"any\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Ports, E> {
        if text == "any" {
            return Ok(Ports::Any);
        }
        Err(E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ports, A::Error> {
        let mut ports = BTreeSet::new();
        while let Some(port) = list.next_element()? {
            ports.insert(port);
        }
        if ports.is_empty() { Err(de::Error::custom(EMPTY)) } else { Ok(Ports::These(ports)) }
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => s.serialize_str("any"),
            Self::These(ports) => s.collect_seq(ports),
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        text(d)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostRule {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        text(d)
    }
}

impl Serialize for HostRule {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

fn text<'de, D: Deserializer<'de>, T: FromStr<Err = Error>>(d: D) -> Result<T, D::Error> {
    let text = Cow::<'de, str>::deserialize(d)?;
    text.parse().map_err(|e: Error| de::Error::custom(e.message()))
}
