//! Where a database is, read from an address, and shown without its secrets.

use std::{fmt, net::IpAddr, time::Duration};

use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use crate::{
    store::tls::{Files, plain},
    traits::store::StoreError,
};

/// The longest name that a server keeps whole, in bytes.
const MAX_NAME: usize = 63;

/// A database, and the schema in it that holds the tables.
pub(super) struct Place {
    pub(super) config: Config,
    /// The schema as it is called.
    pub(super) schema: String,
    /// The schema as it is written in a statement.
    pub(super) quoted: String,
    /// What secures the connections; `None` for plain ones.
    pub(super) tls: Option<Files>,
    /// Was a plain connection asked for, in words?
    plainly: bool,
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
        let tls = match config.get_ssl_mode() {
            SslMode::Disable if address.files != Files::default() => {
                return Err(StoreError::Unsupported(
                    "certificates for postgres and sslmode=disable: leave one of them out"
                        .to_owned(),
                ));
            }
            SslMode::Disable => false,
            // What it is when nothing was said.
            SslMode::Prefer if address.files == Files::default() => !is_near(&config),
            _ => true,
        };
        let plainly = config.get_ssl_mode() == SslMode::Disable;
        config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
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
        Ok(Self { config, schema, quoted, tls: tls.then_some(address.files), plainly })
    }

    /// TLS must be, when somebody has brought certificates for it.
    pub(super) fn wants_tls(&mut self, wants: bool) -> Result<(), StoreError> {
        if !wants || self.tls.is_some() {
            return Ok(());
        }
        if self.plainly {
            return Err(StoreError::Unsupported(format!(
                "postgres at {self} with certificates and sslmode=disable: leave one of them out"
            )));
        }
        self.config.ssl_mode(SslMode::Require);
        self.tls = Some(Files::default());
        Ok(())
    }

    /// Leaves time for the others: of several hosts one may be silent.
    pub(super) fn share(&mut self, connect: Duration) {
        let config = &mut self.config;
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
        if hosts > 1 && config.get_connect_timeout().is_none() {
            config.connect_timeout(connect / u32::try_from(hosts).unwrap_or(u32::MAX));
        }
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

/// Is it this machine? What goes there is on no wire.
fn is_near(config: &Config) -> bool {
    let near = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(near) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// An address without the parts that are ours.
#[derive(Default)]
struct Address {
    rest: String,
    schema: Option<String>,
    files: Files,
}

impl Address {
    fn split(address: &str) -> Result<Self, StoreError> {
        let whole = || Self { rest: address.to_owned(), ..Self::default() };
        let Some((base, query)) = address.split_once('?') else { return Ok(whole()) };
        if !base.contains("://") {
            return Ok(whole());
        }
        let (mut kept, mut schema, mut files) = (Vec::new(), None, Files::default());
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("schema", name)) => schema = Some(plain(name)),
                Some(("sslmode", mode)) => kept.push(ssl_mode(mode)?),
                Some((name, file)) if files.take(name, file) => {}
                _ => kept.push(parameter),
            }
        }
        let rest =
            if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        Ok(Self { rest, schema, files })
    }
}

/// A mode in the words of the client below: with TLS, or without.
fn ssl_mode(mode: &str) -> Result<&'static str, StoreError> {
    match mode {
        "disable" => Ok("sslmode=disable"),
        "require" | "verify-ca" | "verify-full" => Ok("sslmode=require"),
        _ => Err(StoreError::Unsupported(
            "an sslmode for postgres that may end without TLS: write sslmode=verify-full, or \
             sslmode=disable"
                .to_owned(),
        )),
    }
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
            ("postgres://u:secret@h?sslmode=verify-full", "h:5432/u", "openclaw"),
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
    fn what_leaves_the_machine_is_secured_unless_the_address_says_otherwise() {
        for (address, tls) in [
            ("postgres://u@h/db", true),
            ("postgres://u@h/db?sslmode=disable", false),
            ("postgres://u@127.0.0.1,[::1],localhost/db", false),
            ("postgres://u@127.0.0.1,h/db", true),
            ("postgres://u@127.0.0.1/db?sslmode=require", true),
            ("postgres://u@127.0.0.1/db?sslmode=verify-ca", true),
            ("postgres://u@127.0.0.1/db?sslmode=verify-full", true),
            ("postgres://u@127.0.0.1/db?sslrootcert=/ca.pem", true),
            ("host=/run/postgres user=u", false),
            ("host=127.0.0.1 user=u sslmode=require", true),
            ("host=h user=u sslmode=disable", false),
            ("host=127.0.0.1 hostaddr=10.0.0.1 user=u", true),
        ] {
            let place = Place::parse(address, None).unwrap();
            assert_eq!(place.tls.is_some(), tls, "{address}");
            let mode = if tls { SslMode::Require } else { SslMode::Disable };
            assert_eq!(place.config.get_ssl_mode(), mode, "{address}");
        }
        let place = Place::parse("postgres://h/db?sslcert=/c&sslkey=/k%20", None).unwrap();
        let files = Files { chain: Some("/c".into()), key: Some("/k ".into()), roots: None };
        assert_eq!(place.tls, Some(files));
    }

    #[test]
    fn what_might_end_without_tls_is_refused() {
        for mode in ["prefer", "allow", "secret"] {
            let said = refused(&format!("postgres://u:secret@h/db?sslmode={mode}"));
            assert!(said.contains("verify-full") && !said.contains("secret"), "{said}");
        }
        let said = refused("postgres://u@h/db?sslmode=disable&sslrootcert=/ca.pem");
        assert!(said.contains("leave one of them out"), "{said}");
    }
}
