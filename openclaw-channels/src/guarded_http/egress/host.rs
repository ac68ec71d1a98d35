//! Rules for host names, on the borders of labels.

use std::{fmt, str::FromStr};

use openclaw_core::{Error, ErrorKind};
use url::Host;

/// One host, or all hosts below a domain: `api.shop.test`, `*.shop.test`.
///
/// `*.shop.test` holds for `eu.api.shop.test`, and neither for `shop.test` itself nor for
/// `myshop.test`. Names compare as they are looked up: in lower case, in ASCII, and without a
/// dot at their end.
///
/// ```
/// use openclaw_channels::guarded_http::HostRule;
///
/// let shops: HostRule = "*.shop.test".parse()?;
/// assert!(shops.matches("api.shop.test") && shops.matches("EU.api.Shop.test."));
/// assert!(!shops.matches("shop.test") && !shops.matches("notshop.test"));
/// # Ok::<_, openclaw_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostRule {
    name: String,
    below: bool,
}

impl HostRule {
    /// Does it hold for this host? What is no host matches nothing.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        plain(host).is_some_and(|host| self.holds(&host))
    }

    /// Takes a host as the address parser writes it, without a final dot.
    pub(super) fn holds(&self, host: &str) -> bool {
        if !self.below {
            return self.name == host;
        }
        let labels = host.strip_suffix(self.name.as_str()).and_then(|h| h.strip_suffix('.'));
        labels.is_some_and(|labels| !labels.is_empty())
    }
}

impl FromStr for HostRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || {
            let message = "no rule for hosts: write shop.test or *.shop.test, without a port";
            Error::new(ErrorKind::ValidationError, message).with("rule", text)
        };
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        // What the parser of addresses lets pass, a resolver may read in its own way.
        let name = plain(name).filter(|name| !name.contains('*')).ok_or_else(invalid)?;
        let is_name = matches!(Host::parse(&name), Ok(Host::Domain(_)));
        if below && !is_name { Err(invalid()) } else { Ok(Self { name, below }) }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

impl fmt::Debug for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The host as it is looked up, without a dot at its end.
fn plain(host: &str) -> Option<String> {
    let host = Host::parse(host).ok()?.to_string();
    let host = host.strip_suffix('.').unwrap_or(&host);
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_holds_on_the_borders_of_labels() {
        let table: [(&str, &[&str], &[&str]); 6] = [
            ("shop.test", &["shop.test", "SHOP.test", "shop.test."], &["a.shop.test", "test"]),
            ("*.shop.test", &["a.shop.test", "a.b.shop.test"], &["shop.test", "ashop.test"]),
            ("*.Shop.test.", &["a.shop.test."], &[".shop.test", "a.shop.test.evil.test"]),
            ("bücher.test", &["xn--bcher-kva.test", "BÜCHER.test"], &["bucher.test"]),
            ("127.0.0.1", &["127.0.0.1", "0x7f.1"], &["127.0.0.2", "a.127.0.0.1"]),
            ("[::1]", &["[::1]", "[0:0::1]"], &["::1", "[::2]"]),
        ];
        for (rule, yes, no) in table {
            let rule: HostRule = rule.parse().unwrap();
            assert!(yes.iter().all(|host| rule.matches(host)), "{rule}: {yes:?}");
            assert!(no.iter().all(|host| !rule.matches(host)), "{rule}: {no:?}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "*", "*.", ".", "a.*.test", "*.127.0.0.1", "shop.test:443", "a b.test"] {
            assert!(text.parse::<HostRule>().is_err(), "{text:?}");
        }
    }
}
