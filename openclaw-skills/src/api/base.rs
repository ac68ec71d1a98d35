//! Where an API is, and which addresses belong to it.

use http::{Uri, uri::PathAndQuery};
use openclaw_core::{Error, ErrorKind, OrFail, Result};

use super::path::segment;

/// The longest address.
const MAX_URI: usize = 8 << 10;

/// Scheme, host and port, and the path in front of all paths.
#[derive(Clone, Debug)]
pub(super) struct Base {
    origin: String,
    prefix: String,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    Here(Uri),
    /// To another scheme, host or port: credentials don't go there.
    Elsewhere,
    Nowhere,
}

impl Base {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = |why| Error::new(ErrorKind::ValidationError, why);
        let uri: Uri = text.parse().map_err(|e: http::uri::InvalidUri| {
            bad("the address of an API can't be read").with_source(e)
        })?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(bad("the address of an API begins with http:// or https://"));
        };
        if !matches!(scheme, "http" | "https") || authority.host().is_empty() {
            return Err(bad("the address of an API begins with http:// or https://"));
        }
        if authority.as_str().contains('@') {
            return Err(bad("the address of an API holds no credentials: use `authorize`"));
        }
        if uri.query().is_some() || text.contains('#') || uri.path() != without_dots(uri.path()) {
            return Err(bad("the address of an API has no query, no fragment and no dots"));
        }
        let origin = format!("{scheme}://{authority}");
        Ok(Self { origin, prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The same with its version in front of all paths, which leads to no other path.
    pub(super) fn within(mut self, version: &str) -> Result<Self> {
        self.prefix.push('/');
        crate::percent::encode(segment("version", version)?, &mut self.prefix);
        Ok(self)
    }

    /// The address of a path, and of a query that is encoded already.
    pub(super) fn uri(&self, path: &str, query: &str) -> Result<Uri> {
        let mark = if query.is_empty() { "" } else { "?" };
        let text = format!("{}{}{path}{mark}{query}", self.origin, self.prefix);
        if text.len() > MAX_URI {
            return Err(Error::new(ErrorKind::ValidationError, "the address is too long"));
        }
        text.parse().before_send(ErrorKind::ValidationError)
    }

    /// What a link means that stood in the answer to `from` (RFC 3986, 5.2).
    pub(super) fn leads(&self, from: &Uri, link: &str) -> Leads {
        let link = link.split('#').next().unwrap_or_default();
        let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        if link.is_empty() || link.len() > MAX_URI || link.contains(odd) {
            return Leads::Nowhere;
        }
        let path = from.path();
        let absolute = if has_scheme(link) {
            link.to_owned()
        } else if link.starts_with("//") {
            format!("{}:{link}", from.scheme_str().unwrap_or_default())
        } else if link.starts_with('/') {
            format!("{}{link}", self.origin)
        } else if link.starts_with('?') {
            format!("{}{path}{link}", self.origin)
        } else {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{}{folder}/{link}", self.origin)
        };
        let Ok(uri) = absolute.parse::<Uri>() else { return Leads::Nowhere };
        if origin(&uri).is_none()
            || origin(&uri) != self.origin.parse().ok().as_ref().and_then(origin)
        {
            return Leads::Elsewhere;
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let target = format!("{}{query}", without_dots(uri.path()));
        let mut parts = uri.into_parts();
        parts.path_and_query = PathAndQuery::try_from(target).ok();
        Uri::from_parts(parts).map_or(Leads::Nowhere, Leads::Here)
    }
}

fn has_scheme(link: &str) -> bool {
    link.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// Scheme, host and port. `None` where one is missing, or a user is beside the host.
fn origin(uri: &Uri) -> Option<(&str, String, u16)> {
    let scheme = uri.scheme_str()?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    Some((scheme, authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(default)))
}

/// The path without `.` and `..` (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        match *part {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                kept.extend(last.then_some(""));
            }
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_from_where_it_stood() {
        let base = Base::parse("https://crm.test/api").unwrap();
        let from: Uri = "https://crm.test/api/orders/list?page=1".parse().unwrap();
        for (link, to) in [
            ("https://crm.test/api/orders?page=2", "https://crm.test/api/orders?page=2"),
            ("HTTPS://CRM.test:443/x", "https://crm.test:443/x"),
            ("//crm.test/x?y", "https://crm.test/x?y"),
            ("/x/../y?z", "https://crm.test/y?z"),
            ("?page=2", "https://crm.test/api/orders/list?page=2"),
            ("more?page=2#top", "https://crm.test/api/orders/more?page=2"),
            ("../x", "https://crm.test/api/x"),
        ] {
            let Leads::Here(uri) = base.leads(&from, link) else { panic!("{link}") };
            assert_eq!(uri.to_string().to_ascii_lowercase(), to, "{link}");
        }
    }

    #[test]
    fn a_link_to_another_origin_is_seen() {
        let base = Base::parse("https://crm.test/api").unwrap();
        let from: Uri = "https://crm.test/api/orders".parse().unwrap();
        for link in [
            "http://crm.test/api",
            "https://crm.test:8443/api",
            "https://evil.test/api",
            "//evil.test/",
            "https://crm.test@evil.test/",
            "https://ann@crm.test/",
            "ftp://crm.test/",
        ] {
            assert_eq!(base.leads(&from, link), Leads::Elsewhere, "{link}");
        }
        for link in ["", "#x", "https:\\\\crm.test/", "/a b", "/a\r\nb", "http://", "javascript:0"]
        {
            assert!(!matches!(base.leads(&from, link), Leads::Here(_)), "{link}");
        }
    }

    #[test]
    fn an_address_is_checked_once() {
        for bad in [
            "",
            "crm.test",
            "/api",
            "ftp://crm.test",
            "http://ann:pw@crm.test",
            "http://crm.test/?a",
            "http://crm.test/a/../b",
        ] {
            assert!(Base::parse(bad).is_err(), "{bad}");
        }
        let base = Base::parse("http://crm.test:8080/api/").unwrap().within("v 2").unwrap();
        assert_eq!(
            base.uri("/orders", "a=b").unwrap(),
            "http://crm.test:8080/api/v%202/orders?a=b"
        );
        assert!(base.uri(&"/a".repeat(5_000), "").is_err());
    }
}
