//! Addresses that nobody means who calls a public service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Network;

/// The special-purpose registries of IANA, and what is no unicast address.
const NETWORKS: &[(Network, &str)] = &[
    (Network::v4([0, 0, 0, 0], 8), "this network"),
    (Network::v4([10, 0, 0, 0], 8), "private"),
    (Network::v4([100, 64, 0, 0], 10), "shared by a carrier"),
    (Network::v4([127, 0, 0, 0], 8), "loopback"),
    (Network::v4([169, 254, 0, 0], 16), "link-local"),
    (Network::v4([172, 16, 0, 0], 12), "private"),
    (Network::v4([192, 0, 0, 0], 24), "protocol assignments"),
    (Network::v4([192, 0, 2, 0], 24), "documentation"),
    (Network::v4([192, 31, 196, 0], 24), "AS112"),
    (Network::v4([192, 52, 193, 0], 24), "AMT"),
    (Network::v4([192, 88, 99, 0], 24), "6to4 relays"),
    (Network::v4([192, 168, 0, 0], 16), "private"),
    (Network::v4([192, 175, 48, 0], 24), "AS112"),
    (Network::v4([198, 18, 0, 0], 15), "benchmarks"),
    (Network::v4([198, 51, 100, 0], 24), "documentation"),
    (Network::v4([203, 0, 113, 0], 24), "documentation"),
    (Network::v4([224, 0, 0, 0], 4), "multicast"),
    (Network::v4([240, 0, 0, 0], 4), "reserved"),
    (Network::only(IpAddr::V6(Ipv6Addr::LOCALHOST)), "loopback"),
    (Network::v6([0x64, 0xff9b, 0], 96), "NAT64"),
    (Network::v6([0x64, 0xff9b, 1], 48), "NAT64 of a site"),
    (Network::v6([0xfc00, 0, 0], 7), "private"),
    (Network::v6([0xfe80, 0, 0], 10), "link-local"),
    (Network::v6([0xff00, 0, 0], 8), "multicast"),
    (Network::v6([0x2001, 0, 0], 32), "Teredo"),
    (Network::v6([0x2001, 0, 0], 23), "protocol assignments"),
    (Network::v6([0x2001, 0xdb8, 0], 32), "documentation"),
    (Network::v6([0x2002, 0, 0], 16), "6to4"),
    (Network::v6([0x2620, 0x4f, 0x8000], 48), "AS112"),
    (Network::v6([0x3fff, 0, 0], 20), "documentation"),
    // Whatever is not in 2000::/3: unspecified, compatible, translated, discarded, not given out.
    (Network::v6([0, 0, 0], 3), "not global"),
    (Network::v6([0x4000, 0, 0], 2), "not global"),
    (Network::v6([0x8000, 0, 0], 1), "not global"),
];

/// Where clouds tell their machines secrets.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // Credentials of containers and of pods.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // Looks public.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// The names of the same.
const METADATA_HOSTS: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
    "instance-data",
    "instance-data.ec2.internal",
];

/// The special network that the address is in, and what that is for.
pub(super) fn network(ip: IpAddr) -> Option<(Network, &'static str)> {
    NETWORKS.iter().find(|(network, _)| network.contains(ip)).copied()
}

pub(super) fn is_metadata(ip: IpAddr) -> bool {
    METADATA.contains(&ip)
}

/// Takes a name in lower case, without a dot at its end.
pub(super) fn is_metadata_host(host: &str) -> bool {
    METADATA_HOSTS.contains(&host)
}

/// The address that a translator or a tunnel makes of this one.
pub(super) fn inner(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    if ip.is_loopback() || ip.is_unspecified() {
        return None;
    }
    let [a, b, c, d, e, f, g, h] = ip.segments();
    match [a, b, c, d, e, f] {
        // Teredo hides it.
        [0x2001, 0, ..] => Some(joined(!g, !h)),
        [0x2002, ..] => Some(joined(b, c)),
        // NAT64; compatible, mapped, translated.
        [0x64, 0xff9b, 0, 0, 0, 0]
        | [0x64, 0xff9b, 1, ..]
        | [0, 0, 0, 0, 0, 0 | 0xffff]
        | [0, 0, 0, 0, 0xffff, 0] => Some(joined(g, h)),
        _ => None,
    }
}

const fn joined(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_address_of_each_kind_is_found() {
        for (outer, expected) in [
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("::10.0.0.1", Some("10.0.0.1")),
            ("::ffff:0:10.0.0.1", Some("10.0.0.1")),
            ("64:ff9b::10.0.0.1", Some("10.0.0.1")),
            ("64:ff9b:1::10.0.0.1", Some("10.0.0.1")),
            ("2002:a00:1::7", Some("10.0.0.1")),
            ("2001:0:4136:e378:8000:63bf:f5ff:fffe", Some("10.0.0.1")),
            ("2001:db8::10.0.0.1", None),
            ("64:ff9b:2::10.0.0.1", None),
            ("2606:4700::1", None),
            ("::1", None),
            ("::", None),
        ] {
            let inner = inner(outer.parse().unwrap());
            assert_eq!(inner, expected.map(|ip| ip.parse().unwrap()), "{outer}");
        }
    }
}
