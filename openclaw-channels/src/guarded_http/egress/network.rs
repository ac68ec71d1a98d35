//! A block of addresses, written as CIDR.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use openclaw_core::{Error, ErrorKind};

/// A block of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
///
/// ```
/// use openclaw_channels::guarded_http::Network;
///
/// let office: Network = "10.20.0.0/16".parse()?;
/// assert!(office.contains("10.20.7.1".parse()?) && !office.contains("10.21.0.1".parse()?));
/// assert!("10.20.7.1/16".parse::<Network>().is_err(), "it has bits behind its length");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    base: IpAddr,
    length: u8,
}

impl Network {
    pub(super) const fn v4(base: [u8; 4], length: u8) -> Self {
        let [a, b, c, d] = base;
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
    }

    /// The first three groups are given, the others are zero.
    pub(super) const fn v6(base: [u16; 3], length: u8) -> Self {
        let [a, b, c] = base;
        Self { base: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), length }
    }

    /// This address alone.
    #[must_use]
    pub const fn only(ip: IpAddr) -> Self {
        // Addresses are judged as what they are: a mapped one is a v4 address.
        let ip = ip.to_canonical();
        Self { base: ip, length: bits_of(ip) }
    }

    /// Is the address in it? An address of the other family never is.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let behind = 128 - u32::from(self.length);
        let differs = (left(self.base) ^ left(ip)).checked_shr(behind).unwrap_or_default();
        self.base.is_ipv4() == ip.is_ipv4() && differs == 0
    }
}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        Self::only(ip)
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (base, length) =
            text.split_once('/').map_or((text, None), |(base, length)| (base, Some(length)));
        let base: IpAddr = base.parse().map_err(|_not_one| invalid(text))?;
        let length = match length {
            // No sign, no blank, no leading zero.
            Some(length) => length
                .parse()
                .ok()
                .filter(|n: &u8| n.to_string() == length && *n <= bits_of(base))
                .ok_or_else(|| invalid(text))?,
            None => bits_of(base),
        };
        let rest = left(base).checked_shl(u32::from(length)).unwrap_or_default();
        if rest != 0 || base.to_canonical() != base {
            return Err(invalid(text));
        }
        Ok(Self { base, length })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const fn bits_of(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The bits of the address, from the left.
fn left(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn invalid(text: &str) -> Error {
    let message = "no network: write 10.0.0.0/8 or fd00::/8, without bits behind the length";
    Error::new(ErrorKind::ValidationError, message).with("network", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let network: Network = network.parse().unwrap();
        for ip in inside {
            assert!(network.contains(ip.parse().unwrap()), "{ip} is in {network}");
        }
        for ip in outside {
            assert!(!network.contains(ip.parse().unwrap()), "{ip} is not in {network}");
        }
    }

    #[test]
    fn a_network_ends_where_its_length_says() {
        check("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"], &["9.255.255.255", "11.0.0.0"]);
        check("172.16.0.0/12", &["172.31.255.255"], &["172.32.0.0", "172.15.255.255"]);
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::"]);
        check("::/0", &["::", "ffff::"], &["0.0.0.0"]);
        check("127.0.0.1", &["127.0.0.1"], &["127.0.0.0", "::1"]);
        check("fe80::/10", &["febf::1"], &["fec0::", "fe7f::"]);
        check("::1", &["::1"], &["::", "::2"]);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0/8",
            "::/129",
            "fe80::1/10",
            "::ffff:10.0.0.0/104",
            "shop.test",
            "10.0.0.0 /8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
    }
}
