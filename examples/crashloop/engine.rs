//! The engine under all lives, and the server that it needs.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    Clock,
    store::{SharedStore, Store, StoreError},
};
#[cfg(unix)]
use openclaw_testkit::servers::{Postgres, Redis};
use tempfile::TempDir;

use crate::life::Outcome;

/// How long a store that the last life left open may stay locked.
const RELEASE: Duration = Duration::from_secs(10);

/// An engine of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Redb,
    Fjall,
    Sqlite,
    Postgres,
    Redis,
}

impl Engine {
    const ALL: [Self; 5] = [Self::Redb, Self::Fjall, Self::Sqlite, Self::Postgres, Self::Redis];

    /// The word on the command line, and the scheme of its places.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// The engine of this name.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.word() == word)
    }
}

/// Opens the store of a place. A process that was just killed may hold its lock a moment longer.
pub(crate) async fn open(place: &str, clock: Arc<dyn Clock>) -> Result<SharedStore, StoreError> {
    let patience = tokio::time::Instant::now() + RELEASE;
    loop {
        match Store::open(place, Arc::clone(&clock)).await {
            Err(StoreError::Locked(_)) if tokio::time::Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => return opened,
        }
    }
}

/// Where the rows of all lives are.
#[derive(Debug)]
pub(crate) struct Home {
    engine: Engine,
    dir: TempDir,
    server: Option<Box<dyn Server>>,
}

impl Home {
    /// Makes room for the rows, and starts the server if the engine has one.
    pub(crate) async fn make(engine: Engine) -> Outcome<Self> {
        Ok(Self { engine, dir: tempfile::tempdir()?, server: server(engine).await? })
    }

    /// The name of the place, for [`open`].
    pub(crate) fn place(&self) -> String {
        match &self.server {
            Some(server) => server.url(),
            None => {
                format!("{}:{}", self.engine.word(), self.dir.path().join("state").display())
            }
        }
    }

    /// Is there a server that can be killed?
    pub(crate) const fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// Ends the server as a crash does, at once.
    pub(crate) async fn crash(&mut self, gently: bool) -> Outcome<()> {
        match &mut self.server {
            Some(server) => server.crash(gently).await,
            None => Ok(()),
        }
    }

    /// Starts the server again on what it kept.
    pub(crate) async fn restart(&mut self) -> Outcome<()> {
        match &mut self.server {
            Some(server) => server.restart().await,
            None => Ok(()),
        }
    }
}

/// A private server that can be killed.
#[async_trait]
trait Server: Debug + Send + Sync {
    fn url(&self) -> String;

    /// SIGKILL, or what else ends this server at once.
    async fn crash(&mut self, gently: bool) -> Outcome<()>;

    async fn restart(&mut self) -> Outcome<()>;
}

#[cfg(unix)]
#[async_trait]
impl Server for Postgres {
    fn url(&self) -> String {
        self.url()
    }

    async fn crash(&mut self, gently: bool) -> Outcome<()> {
        if gently {
            self.stop_immediate().await?;
        } else {
            self.kill().await?;
        }
        Ok(())
    }

    async fn restart(&mut self) -> Outcome<()> {
        Ok(self.restart().await?)
    }
}

#[cfg(unix)]
#[async_trait]
impl Server for Redis {
    fn url(&self) -> String {
        self.url()
    }

    async fn crash(&mut self, _gently: bool) -> Outcome<()> {
        Ok(self.kill().await?)
    }

    async fn restart(&mut self) -> Outcome<()> {
        Ok(self.restart().await?)
    }
}

/// The server of an engine that has one.
#[cfg(unix)]
async fn server(engine: Engine) -> Outcome<Option<Box<dyn Server>>> {
    Ok(match engine {
        Engine::Redb | Engine::Fjall | Engine::Sqlite => None,
        Engine::Postgres => Some(Box::new(Postgres::builder().start().await?)),
        Engine::Redis => {
            let builder = Redis::builder().setting("maxmemory-policy", "noeviction");
            Some(Box::new(builder.start().await?))
        }
    })
}

#[cfg(not(unix))]
async fn server(engine: Engine) -> Outcome<Option<Box<dyn Server>>> {
    std::future::ready(match engine {
        Engine::Redb | Engine::Fjall | Engine::Sqlite => Ok(None),
        Engine::Postgres | Engine::Redis => Err("private servers need Unix".into()),
    })
    .await
}
