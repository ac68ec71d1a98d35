//! Where a database is, read from an address, and shown without its secrets.

use std::fmt;

use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use crate::traits::store::StoreError;

/// The longest name that a server keeps whole, in bytes.
const MAX_NAME: usize = 63;

/// A database, and the schema in it that holds the tables.
pub(super) struct Place {
    pub(super) config: Config,
    /// The schema as it is called.
    pub(super) schema: String,
    /// The schema as it is written in a statement.
    pub(super) quoted: String,
}

impl Place {
    /// Reads an address. A schema that the builder names goes before that of the address.
    pub(super) fn parse(address: &str, schema: Option<String>) -> Result<Self, StoreError> {
        let address = Address::split(address)?;
        let mut config: Config = address.rest.parse().map_err(|_its_words_hold_secrets| {
            StoreError::Unsupported(
                "this address: write postgres://user:password@host:port/database, with other \
                 signs than letters and digits as %xx"
                    .to_owned(),
            )
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(no_tls("require"));
        }
        if config.get_hosts().len() > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("openclaw");
        }
        let schema = schema.or(address.schema).unwrap_or_else(|| "openclaw".to_owned());
        if schema.is_empty() || schema.len() > MAX_NAME || schema.contains('\0') {
            return Err(StoreError::Unsupported(format!(
                "a schema name of {} bytes: choose one of 1 to {MAX_NAME}",
                schema.len()
            )));
        }
        let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
        Ok(Self { config, schema, quoted })
    }

    /// The database, as it is called.
    pub(super) fn database(&self) -> &str {
        self.config.get_dbname().or_else(|| self.config.get_user()).unwrap_or("its default")
    }

    /// The user, as it is called.
    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or("of this process")
    }
}

/// The host, the port and the database: what an error names.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{}", path.display())?,
            }
            let port = ports.get(n).or_else(|| ports.first()).copied().unwrap_or(5432);
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.database())
    }
}

/// An address without the parts that are ours.
struct Address {
    rest: String,
    schema: Option<String>,
}

impl Address {
    fn split(address: &str) -> Result<Self, StoreError> {
        let whole = || Self { rest: address.to_owned(), schema: None };
        let Some((base, query)) = address.split_once('?') else { return Ok(whole()) };
        if !base.contains("://") {
            return Ok(whole());
        }
        let (mut kept, mut schema) = (Vec::new(), None);
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("schema", name)) => schema = Some(plain(name)),
                Some(("sslmode", mode)) if !matches!(mode, "disable" | "allow" | "prefer") => {
                    return Err(no_tls(mode));
                }
                // Without TLS at hand both mean a plain connection.
                Some(("sslmode", _)) => kept.push("sslmode=disable"),
                _ => kept.push(parameter),
            }
        }
        let rest =
            if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        Ok(Self { rest, schema })
    }
}

fn no_tls(mode: &str) -> StoreError {
    let mode = if matches!(mode, "require" | "verify-ca" | "verify-full") { mode } else { "…" };
    StoreError::Unsupported(format!(
        "sslmode={mode} to postgres: this program has no TLS for it: go through a local proxy \
         that has, and write sslmode=disable"
    ))
}

/// Resolves `%xx`; what is none stays as it is.
fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let [first, rest @ ..] = left {
        let code = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                left = rest.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                left = rest;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        match Place::parse(address, None) {
            Ok(place) => panic!("{place} was read"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn an_address_names_the_schema_and_shows_no_password() {
        for (address, shown, schema) in [
            ("postgres://u:secret@h/db", "h:5432/db", "openclaw"),
            ("postgresql://u:secret@h:7/db?schema=a%22b%", "h:7/db", "a\"b%"),
            ("postgres://u:secret@h,i:9/db?schema=x&connect_timeout=3", "h:5432,i:9/db", "x"),
            ("postgres://u:secret@h?sslmode=prefer", "h:5432/u", "openclaw"),
            ("postgres://u:secret?=x@h/db", "h:5432/db", "openclaw"),
            ("host=h user=u password=secret dbname=db", "h:5432/db", "openclaw"),
        ] {
            let place = Place::parse(address, None).unwrap();
            assert_eq!((place.to_string().as_str(), place.schema.as_str()), (shown, schema));
            assert!(!format!("{:?}", place.config).contains("secret"));
        }
        let place = Place::parse("postgres://h/db?schema=x", Some("y\"z".into())).unwrap();
        assert_eq!((place.schema.as_str(), place.quoted.as_str()), ("y\"z", "\"y\"\"z\""));
    }

    #[test]
    fn an_address_that_can_not_be_read_keeps_its_secrets() {
        for address in [
            "postgres://u:secret@h/db?wrong=secret",
            "postgres://u:sec?ret=x@h/db?schema=s",
            "postgres://u:secret@h:secret/db",
            "password=secret secret",
        ] {
            let said = refused(address);
            assert!(!said.contains("secret") && !said.contains("ret"), "{said}");
            assert!(said.contains("write postgres://"), "{said}");
        }
        assert!(refused("postgres://h/db?schema=").contains("schema name of 0 bytes"));
    }

    #[test]
    fn an_address_that_wants_tls_is_told_that_there_is_none() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let said = refused(&format!("postgres://u:secret@h/db?sslmode={mode}"));
            assert!(said.contains(mode) && !said.contains("secret"), "{said}");
        }
        assert!(refused("host=h user=u sslmode=require").contains("require"));
    }
}
