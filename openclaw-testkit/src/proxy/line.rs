//! One connection: a client, a server, and two lanes between them.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    Traffic,
    lane::{Cut, Direction, Edit, Lane},
    pump::{Writer, read},
};
use crate::wire;

/// Reads that may wait for a lane.
const QUEUE: usize = 64;

/// How long the server may take to accept.
const DIAL: Duration = Duration::from_secs(5);

/// The two lanes of a connection, and how much each has carried.
#[derive(Debug)]
pub(super) struct Line {
    to_server: Track,
    to_client: Track,
}

/// A lane that may change while it is in use.
#[derive(Debug)]
pub(super) struct Track {
    lane: watch::Sender<Lane>,
    passed: AtomicU64,
}

impl Track {
    fn new(lane: Lane) -> Self {
        Self { lane: watch::Sender::new(lane), passed: AtomicU64::new(0) }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Lane> {
        self.lane.subscribe()
    }

    pub(super) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    pub(super) fn pass(&self, bytes: usize) {
        self.passed.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Line {
    pub(super) fn new(to_server: Lane, to_client: Lane) -> Self {
        Self { to_server: Track::new(to_server), to_client: Track::new(to_client) }
    }

    pub(super) fn apply(&self, direction: Direction, edit: &Edit) {
        let track = match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        };
        track.lane.send_modify(|lane| lane.apply(edit, track.passed()));
    }

    /// Carries bytes between the client and the server until both have finished or it is cut.
    pub(super) async fn carry(&self, mut client: TcpStream, upstream: SocketAddr, all: &Traffic) {
        let mut server = match self.dial(upstream).await {
            Ok(server) => server,
            Err(Cut::Reset) => return wire::reset(client),
            Err(Cut::Finish) => return wire::finish(client).await,
        };
        match self.join(&mut client, &mut server, all).await {
            Ok(()) => {}
            Err(Cut::Reset) => {
                wire::reset(client);
                wire::reset(server);
            }
            Err(Cut::Finish) => {
                tokio::join!(wire::finish(client), wire::finish(server));
            }
        }
    }

    /// Reaches the server once the lane that leads to it is open.
    async fn dial(&self, upstream: SocketAddr) -> Result<TcpStream, Cut> {
        let mut lane = self.to_server.watch();
        loop {
            {
                let lane = lane.borrow_and_update();
                if let Some(how) = lane.cut(0, false) {
                    return Err(how);
                }
                if !lane.held {
                    break;
                }
            }
            let _changed = lane.changed().await;
        }
        // A cut waits for this: the server may have accepted already, and is to see it.
        match timeout(DIAL, TcpStream::connect(upstream)).await {
            Ok(Ok(server)) => Ok(server),
            Ok(Err(_)) | Err(_) => Err(Cut::Reset),
        }
    }

    async fn join(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
        all: &Traffic,
    ) -> Result<(), Cut> {
        // A piece that waits for the next one would not be a piece.
        let nodelay = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
        nodelay.map_err(|_broken| Cut::Reset)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let (up, upward) = mpsc::channel(QUEUE);
        let (down, downward) = mpsc::channel(QUEUE);
        tokio::try_join!(
            read(from_client, up),
            read(from_server, down),
            Writer::new(to_server, upward, &self.to_server, &all.to_server).run(),
            Writer::new(to_client, downward, &self.to_client, &all.to_client).run(),
        )?;
        Ok(())
    }
}
