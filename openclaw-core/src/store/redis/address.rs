//! Where the server is, as it may be shown.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::traits::store::StoreError;

/// An address that shows host, port and database, and never who logs in.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// User, password, database.
    pub(super) login: RedisConnectionInfo,
}

impl Address {
    /// Reads `redis://user:password@host:port/database`.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if scheme == "rediss" {
            let why = "rediss: this engine speaks no TLS: put a tunnel before the server, and \
                       name its near end as redis://host:port";
            return Err(StoreError::Unsupported(why.to_owned()));
        }
        // The parser's own words may repeat the address.
        let unread = |_| {
            let why = "this address of a redis: write redis://host:port/0, a password with its \
                       signs as %40";
            StoreError::Unsupported(why.to_owned())
        };
        let info: ConnectionInfo = url.into_connection_info().map_err(unread)?;
        match info.addr() {
            ConnectionAddr::Tcp(host, port) if scheme == "redis" => {
                Ok(Self { host: host.clone(), port: *port, login: info.redis_settings().clone() })
            }
            _ => Err(StoreError::Unsupported(
                "an address of redis other than redis://host:port".to_owned(),
            )),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "redis://{open}{}{close}:{}/{}", self.host, self.port, self.login.db())
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
        ] {
            let address = Address::read(url).unwrap();
            assert_eq!(
                (format!("{address}"), format!("{address:?}")),
                (shown.into(), shown.into())
            );
        }
    }

    #[test]
    fn what_can_not_be_read_is_not_repeated() {
        for url in [
            "redis://u:geheim@host:port/0",
            "redis://u:geheim@host/geheim",
            "rediss://u:geheim@host/0",
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
