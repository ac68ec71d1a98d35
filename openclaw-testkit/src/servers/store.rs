//! A place for the rows of any engine of core, and the server that it needs.

use std::{fmt, path::Path};

use async_trait::async_trait;
use tempfile::TempDir;

use super::{Postgres, Redis, ServerError};

/// An engine that core has, whether its feature is on or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StoreEngine {
    /// One file, one process.
    Redb,
    /// A directory, one process.
    Fjall,
    /// One file, several processes.
    Sqlite,
    /// A server.
    Postgres,
    /// A server.
    Redis,
}

impl StoreEngine {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Redb, Self::Fjall, Self::Sqlite, Self::Postgres, Self::Redis];

    /// Its name: a feature of core, and the scheme of its places.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// The engine of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.name() == name)
    }
}

impl fmt::Display for StoreEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A temporary place for a store: a folder, or a private server.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_testkit::servers::{StoreEngine, StorePlace};
///
/// let place = StorePlace::make(StoreEngine::Redb).await?;
/// assert!(place.url().starts_with("redb:") && !place.has_server());
/// // … Store::open(&place.url(), env.clock()) opens it …
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct StorePlace {
    engine: StoreEngine,
    dir: TempDir,
    server: Option<Box<dyn Crashing>>,
}

impl StorePlace {
    /// Makes a folder, or starts the engine's server.
    ///
    /// # Errors
    /// The server's, or [`ServerError::Io`] when a folder can't be made.
    pub async fn make(engine: StoreEngine) -> Result<Self, ServerError> {
        let server: Option<Box<dyn Crashing>> = match engine {
            StoreEngine::Redb | StoreEngine::Fjall | StoreEngine::Sqlite => None,
            StoreEngine::Postgres => Some(Box::new(Postgres::builder().start().await?)),
            StoreEngine::Redis => {
                let builder = Redis::builder().setting("maxmemory-policy", "noeviction");
                Some(Box::new(builder.start().await?))
            }
        };
        let dir = tempfile::tempdir().map_err(ServerError::io("make a folder for a store"))?;
        Ok(Self { engine, dir, server })
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> StoreEngine {
        self.engine
    }

    /// What `Store::open` takes; the same after a restart of the server.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.server {
            Some(server) => server.url(),
            None => format!("{}:{}", self.engine, self.dir.path().join("state").display()),
        }
    }

    /// Where its bytes are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.server.as_ref().map_or(self.dir.path(), |server| server.dir())
    }

    /// Is there a server that can crash?
    #[must_use]
    pub const fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// Crashes the server: by SIGKILL, or `gently` by Postgres' `immediate` stop.
    ///
    /// Nothing happens where there is none.
    ///
    /// # Errors
    /// The server's.
    pub async fn crash(&mut self, gently: bool) -> Result<(), ServerError> {
        match &mut self.server {
            Some(server) => server.crash(gently).await,
            None => Ok(()),
        }
    }

    /// Starts the server again on what it kept.
    ///
    /// # Errors
    /// The server's.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        match &mut self.server {
            Some(server) => server.restart().await,
            None => Ok(()),
        }
    }
}

/// A server that can be crashed and started again.
#[async_trait]
trait Crashing: fmt::Debug + Send + Sync {
    fn url(&self) -> String;
    fn dir(&self) -> &Path;
    async fn crash(&mut self, gently: bool) -> Result<(), ServerError>;
    async fn restart(&mut self) -> Result<(), ServerError>;
}

#[async_trait]
impl Crashing for Postgres {
    fn url(&self) -> String {
        self.url()
    }

    fn dir(&self) -> &Path {
        self.dir()
    }

    async fn crash(&mut self, gently: bool) -> Result<(), ServerError> {
        if gently { self.stop_immediate().await } else { self.kill().await }
    }

    async fn restart(&mut self) -> Result<(), ServerError> {
        self.restart().await
    }
}

#[async_trait]
impl Crashing for Redis {
    fn url(&self) -> String {
        self.url()
    }

    fn dir(&self) -> &Path {
        self.dir()
    }

    async fn crash(&mut self, _gently: bool) -> Result<(), ServerError> {
        self.kill().await
    }

    async fn restart(&mut self) -> Result<(), ServerError> {
        self.restart().await
    }
}
