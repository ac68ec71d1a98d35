//! Where the server is, as it may be shown.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::{store::tls::Files, traits::store::StoreError};

/// An address that shows host, port and database, and never who logs in.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// User, password, database.
    pub(super) login: RedisConnectionInfo,
    /// What it says about TLS; `None` for a plain connection.
    pub(super) tls: Option<Files>,
}

impl Address {
    /// Reads `redis://user:password@host:port/database`, or `rediss://` and the files of TLS.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        let (tls, url) = split(url)?;
        // The parser's own words may repeat the address.
        let unread = |_| {
            let why = "this address of a redis: write redis://host:port/0, a password with its \
                       signs as %40";
            StoreError::Unsupported(why.to_owned())
        };
        let info: ConnectionInfo = url.as_str().into_connection_info().map_err(unread)?;
        match info.addr() {
            ConnectionAddr::Tcp(host, port) if url.starts_with("redis:") => {
                let login = info.redis_settings().clone();
                Ok(Self { host: host.clone(), port: *port, login, tls })
            }
            _ => Err(StoreError::Unsupported(
                "an address of redis other than redis://host:port or rediss://host:port".to_owned(),
            )),
        }
    }
}

/// What an address says about TLS, and the address without it.
fn split(url: &str) -> Result<(Option<Files>, String), StoreError> {
    let Some(rest) = url.strip_prefix("rediss:") else { return Ok((None, url.to_owned())) };
    if rest.contains('#') {
        let why = "an address of redis with a #: a certificate is always checked: name its \
                   authority by ?sslrootcert=FILE, and write # in a password as %23";
        return Err(StoreError::Unsupported(why.to_owned()));
    }
    let mut files = Files::default();
    let Some((base, query)) = rest.split_once('?') else {
        return Ok((Some(files), format!("redis:{rest}")));
    };
    let own = |parameter: &&str| {
        parameter.split_once('=').is_some_and(|(name, file)| files.take(name, file))
    };
    let (_, kept): (Vec<&str>, Vec<&str>) = query.split('&').partition(own);
    let mark = if kept.is_empty() { "" } else { "?" };
    Ok((Some(files), format!("redis:{base}{mark}{}", kept.join("&"))))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        write!(f, "{scheme}://{open}{}{close}:{}/{}", self.host, self.port, self.login.db())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_who_logs_in() {
        for (url, shown) in [
            ("redis://u:geheim%40@db.example:7000/3", "redis://db.example:7000/3"),
            ("redis://:geheim@127.0.0.1", "redis://127.0.0.1:6379/0"),
            ("redis://geheim@[::1]:1/0", "redis://[::1]:1/0"),
            ("rediss://u:geheim@db.example", "rediss://db.example:6379/0"),
            ("rediss://u:geheim@[::1]/2?sslkey=geheim&sslcert=x", "rediss://[::1]:6379/2"),
        ] {
            let address = Address::read(url).unwrap();
            assert_eq!(
                (format!("{address}"), format!("{address:?}")),
                (shown.into(), shown.into())
            );
        }
    }

    #[test]
    fn an_address_names_the_files_of_tls() {
        let address = Address::read("rediss://h/0?sslrootcert=/a%20b&protocol=resp3").unwrap();
        let files = Files { roots: Some("/a b".into()), ..Files::default() };
        assert_eq!(address.tls, Some(files));
        assert_eq!(Address::read("redis://h/0").unwrap().tls, None);
    }

    #[test]
    fn what_can_not_be_read_is_not_repeated() {
        for url in [
            "redis://u:geheim@host:port/0",
            "redis://u:geheim@host/geheim",
            "rediss://u:geheim@host/0#insecure",
            "rediss://u:geheim@host:port/0",
            "unix:///geheim",
            "geheim",
            "",
        ] {
            let error = Address::read(url).unwrap_err();
            assert!(matches!(error, StoreError::Unsupported(_)), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
        }
    }
}
