//! One connection for all callers, made again when it breaks.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{AsyncConnectionConfig, Cmd, RedisError, Value, aio::MultiplexedConnection, cmd};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use super::{
    address::Address,
    fault::{Fault, fault, lost, unsafe_way},
    script::{Call, Keys, OPEN},
};
use crate::{store::tls::Connector, traits::store::StoreError};

/// What a server is asked about its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// They must be those of a durable store.
    Checked,
    /// They can't be read; the caller knows them.
    Trusted,
    /// They don't matter.
    None,
}

/// Without each of these an answered commit can be lost.
const WANTED: [(&str, &str); 4] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("no-appendfsync-on-rewrite", "no"),
    ("maxmemory-policy", "noeviction"),
];

/// Requests that wait for the task that writes them.
const QUEUE: usize = 1024;

/// The way to a server: at most one connection, and how to make the next.
pub(super) struct Way {
    pub(super) at: Address,
    pub(super) keys: Keys,
    pub(super) durability: Durability,
    /// For a connection, and for each answer.
    pub(super) timeout: Duration,
    tls: Option<Connector>,
    link: Mutex<Option<Arc<Link>>>,
    making: tokio::sync::Mutex<Making>,
    attempts: AtomicU64,
}

#[derive(Default)]
struct Making {
    /// The last connection as the server names it.
    before: Option<Client>,
    failed: Option<StoreError>,
}

/// A connection as the server names it: its number alone begins anew with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Client {
    id: String,
    addr: String,
}

/// A connection, and the task that reads and writes it.
struct Link {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    retired: AtomicBool,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    /// False when it is known to be of no use: what is sent now would be lost.
    fn is_alive(&self) -> bool {
        !self.retired.load(Ordering::SeqCst) && !self.driver.is_finished()
    }

    async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = self.connection.clone();
        command.query_async(&mut connection).await
    }
}

impl Way {
    pub(super) fn new(
        (at, tls): (Address, Option<Connector>),
        keys: Keys,
        durability: Durability,
        timeout: Duration,
    ) -> Self {
        let (link, making) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { at, keys, durability, timeout, tls, link, making, attempts: AtomicU64::new(0) }
    }

    /// Runs a script; it runs once or not at all.
    pub(super) async fn run(&self, call: &Call) -> Result<Value, Fault> {
        let link = self.link().await.map_err(Fault::Refused)?;
        let mut answer = link.ask(&call.command(false)).await;
        if answer.as_ref().is_err_and(|e| e.code() == Some("NOSCRIPT")) {
            answer = link.ask(&call.command(true)).await;
        }
        answer.map_err(|e| {
            // What answers nothing, or is not the primary any more, is not asked again.
            if matches!(e.code(), None | Some("READONLY" | "MASTERDOWN" | "NOAUTH")) {
                self.retire(&link);
            }
            fault(&self.at, &e)
        })
    }

    /// Makes the connection unless there is one.
    pub(super) async fn open(&self) -> Result<(), StoreError> {
        self.link().await.map(drop)
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Option<Arc<Link>> {
        self.current().as_ref().filter(|link| link.is_alive()).map(Arc::clone)
    }

    fn retire(&self, link: &Arc<Link>) {
        link.retired.store(true, Ordering::SeqCst);
        let mut current = self.current();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            *current = None;
        }
    }

    /// The connection; made again when there is none, by one caller for all that wait.
    async fn link(&self) -> Result<Arc<Link>, StoreError> {
        if let Some(link) = self.alive() {
            return Ok(link);
        }
        let tried = self.attempts.load(Ordering::SeqCst);
        let made = timeout(self.timeout, self.make(tried)).await;
        made.unwrap_or_else(|_| {
            let tls = if self.tls.is_some() { ", and whether this port speaks TLS" } else { "" };
            let at = &self.at;
            let why = format!("{at} does not answer in time: look at it and the way to it{tls}");
            Err(StoreError::Unavailable(why))
        })
    }

    async fn make(&self, tried: u64) -> Result<Arc<Link>, StoreError> {
        let mut making = self.making.lock().await;
        if let Some(link) = self.alive() {
            return Ok(link);
        }
        if let Some(failed) = &making.failed
            && self.attempts.load(Ordering::SeqCst) != tried
        {
            return Err(failed.clone());
        }
        let made = self.connect(making.before.as_ref()).await;
        self.attempts.fetch_add(1, Ordering::SeqCst);
        match made {
            Ok((link, client)) => {
                (making.before, making.failed) = (client, None);
                *self.current() = Some(Arc::clone(&link));
                Ok(link)
            }
            Err(e) => {
                making.failed = Some(e.clone());
                Err(e)
            }
        }
    }

    async fn connect(
        &self,
        before: Option<&Client>,
    ) -> Result<(Arc<Link>, Option<Client>), StoreError> {
        let failed = |e: &RedisError| lost(&self.at, e);
        let stream = TcpStream::connect((&*self.at.host, self.at.port)).await;
        let stream = stream.map_err(|e| failed(&e.into()))?;
        stream.set_nodelay(true).map_err(|e| failed(&e.into()))?;
        let made = match &self.tls {
            None => self.begin(stream).await,
            Some(tls) => {
                let stream = tls.connect(&self.at.host, stream).await;
                self.begin(stream.map_err(|e| unsafe_way(&self.at, &e))?).await
            }
        };
        let link = Arc::new(made.map_err(|e| failed(&e))?);
        if let Some(before) = before {
            self.end(&link, before).await?;
        }
        self.check(&link).await?;
        let opening = Call::new(&OPEN, &self.keys).command(true);
        link.ask(&opening).await.map_err(|e| fault(&self.at, &e).read())?;
        let client = match link.ask(cmd("CLIENT").arg("INFO")).await {
            Err(e) if e.code().is_none() => return Err(failed(&e)),
            answer => answer.ok().and_then(client),
        };
        if client.is_none() && self.durability == Durability::Checked {
            return Err(self.no_name());
        }
        Ok((link, client))
    }

    /// Logs in, and drives the connection from now on.
    async fn begin<S>(&self, stream: S) -> Result<Link, RedisError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(QUEUE);
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&self.at.login, stream, config).await?;
        let driver = tokio::spawn(driver);
        Ok(Link { connection, driver, retired: AtomicBool::new(false) })
    }

    /// Ends the connection before this one on the server's side.
    ///
    /// What it had sent and was not answered has run by now, or never will: whoever reads back
    /// after [`StoreError::OutcomeUnknown`] sees what stays.
    async fn end(&self, link: &Link, before: &Client) -> Result<(), StoreError> {
        let mut kill = cmd("CLIENT");
        kill.arg("KILL").arg("ID").arg(&before.id).arg("ADDR").arg(&before.addr);
        match link.ask(&kill).await {
            Err(e) if e.code().is_none() => Err(lost(&self.at, &e)),
            Err(_) if self.durability == Durability::Checked => {
                Err(StoreError::Unavailable(format!(
                    "{}: CLIENT KILL is forbidden, so that a lost commit could still come \
                     through: allow it to this user",
                    self.at
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a server that may lose what it has answered.
    async fn check(&self, link: &Link) -> Result<(), StoreError> {
        if self.durability != Durability::Checked {
            return Ok(());
        }
        for (name, wanted) in WANTED {
            let answer = link.ask(cmd("CONFIG").arg("GET").arg(name)).await;
            let found: HashMap<String, String> =
                match answer.and_then(|v| Ok(redis::from_redis_value(v)?)) {
                    Ok(found) => found,
                    Err(e) if matches!(e.code(), Some("NOPERM" | "ERR")) => HashMap::new(),
                    Err(e) => return Err(fault(&self.at, &e).read()),
                };
            let found = found.get(name).map(String::as_str);
            if found != Some(wanted) {
                return Err(self.not_durable(name, wanted, found));
            }
        }
        Ok(())
    }

    fn no_name(&self) -> StoreError {
        StoreError::Unsupported(format!(
            "a lost commit at {}: CLIENT INFO has no answer: allow it to this user, on a server of \
             version 6.2 or later",
            self.at
        ))
    }

    fn not_durable(&self, name: &str, wanted: &str, found: Option<&str>) -> StoreError {
        let at = &self.at;
        StoreError::Unsupported(found.map_or_else(
            || {
                format!(
                    "durable commits at {at} as far as can be seen: CONFIG GET {name} is \
                     forbidden: allow it, or open with trust_durability when it is {wanted}"
                )
            },
            |found| {
                format!(
                    "durable commits at {at}: {name} is {found}: set it to {wanted}, or open \
                     with not_durable"
                )
            },
        ))
    }
}

/// Reads `id=3 addr=127.0.0.1:41234 …`.
fn client(info: Value) -> Option<Client> {
    let info: String = redis::from_redis_value(info).ok()?;
    let field = |name: &str| {
        let mut fields = info.split_ascii_whitespace();
        fields.find_map(|field| field.strip_prefix(name)).map(str::to_owned)
    };
    Some(Client { id: field("id=")?, addr: field("addr=")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_a_number_and_an_address() {
        let info = "id=3 addr=127.0.0.1:4 laddr=127.0.0.1:5 fd=8 name= db=0\n";
        let expected = Client { id: "3".into(), addr: "127.0.0.1:4".into() };
        assert_eq!(client(Value::BulkString(info.into())), Some(expected));
        assert_eq!(client(Value::Nil), None);
    }
}
