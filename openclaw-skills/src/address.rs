//! Addresses that credentials may be sent to.

use http::Uri;
use openclaw_core::{Error, ErrorKind, Happened, Result};

/// An address that credentials may go to: `https`, or plain HTTP on this machine.
pub(crate) fn for_credentials(text: &str, what: &'static str) -> Result<Uri> {
    let refuse = |message: &'static str| {
        let error = Error::new(ErrorKind::ValidationError, message);
        error.with("address", what).with_happened(Happened::No)
    };
    let uri = Uri::try_from(text).map_err(|_quoting| refuse("this is no address"))?;
    let authority = uri.authority().ok_or_else(|| refuse("the address names no host"))?;
    if authority.as_str().contains('@') {
        return Err(refuse("the address must not hold credentials"));
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_here(authority.host()) => Ok(uri),
        _ => Err(refuse("credentials go over https only: the address must begin with https://")),
    }
}

/// Is this host this machine? Names but `localhost` may lead anywhere.
fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_over_tls_or_stay_on_this_machine() {
        for good in
            ["https://a.test/t", "http://127.0.0.1:1/t", "http://[::1]:1/", "http://localhost/"]
        {
            assert!(for_credentials(good, "x").is_ok(), "{good}");
        }
        for bad in [
            "http://a.test/",
            "http://127.0.0.1.a.test/",
            "http://localhost.a.test/",
            "https://u:p@a.test/",
            "ftp://localhost/",
            "/t",
            "a.test",
            "",
        ] {
            assert!(for_credentials(bad, "x").is_err(), "{bad}");
        }
    }
}
