//! A TCP proxy that breaks connections on demand, in process and in real time.

mod faults;
mod lane;
mod line;
mod pump;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

pub use self::{
    faults::Faults,
    lane::{Cut, Direction},
};
use self::{
    faults::Whose,
    lane::{Edit, Lane},
    line::Line,
};
use crate::wire;

/// Connections at a time; more wait to be accepted.
const MAX_OPEN: usize = 1024;

/// A proxy in front of any TCP server, with faults that are switched while it runs.
///
/// It listens on a free port of the loopback interface and passes everything on, half-closes
/// and resets too, until a fault is switched on: for [`all`](Self::all) connections or for the
/// [`next`](Self::next), in both directions or [`only`](Faults::only) in one. Times are real:
/// it is of no use in a runtime whose time is paused. Dropping it ends its connections.
///
/// Cut an exchange behind every byte of its answer:
///
/// ```
/// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}};
/// use openclaw_testkit::proxy::{Cut, Direction, FaultProxy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let server = listener.local_addr()?;
/// # let _echo = tokio::spawn(async move {
/// #     while let Ok((mut peer, _)) = listener.accept().await {
/// #         let (mut from, mut to) = peer.split();
/// #         let _end = tokio::io::copy(&mut from, &mut to).await;
/// #     }
/// # });
/// let proxy = FaultProxy::to(server).await?;
/// for k in 0..4 {
///     proxy.next().only(Direction::ToClient).cut_after(k, Cut::Reset);
///     let mut client = TcpStream::connect(proxy.addr()).await?;
///     client.write_all(b"ping").await?;
///     let mut heard = Vec::new();
///     let cut = client.read_to_end(&mut heard).await.unwrap_err();
///     assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
///     assert_eq!(heard.len() as u64, k);
/// }
/// assert_eq!(proxy.connections(), 4);
/// assert_eq!(proxy.bytes(Direction::ToServer), 16);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    upstream: SocketAddr,
    plan: Mutex<Plan>,
    connections: AtomicU64,
    refused: AtomicU64,
    traffic: Traffic,
}

/// Bytes that all connections carried.
#[derive(Debug, Default)]
struct Traffic {
    to_server: AtomicU64,
    to_client: AtomicU64,
}

/// What connections meet.
#[derive(Debug, Default)]
struct Plan {
    to_server: Lane,
    to_client: Lane,
    refuse: bool,
    /// What the next connection meets beside.
    next: Vec<(Direction, Edit)>,
    refuse_next: bool,
    open: Vec<Weak<Line>>,
}

impl FaultProxy {
    /// Starts a proxy to this server. The server is not called before a client comes.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let inner = Arc::new(Inner {
            upstream: server,
            plan: Mutex::default(),
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            traffic: Traffic::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&inner)));
        Ok(Self { addr, inner, task })
    }

    /// Where clients connect.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The faults of all connections, open ones and those to come.
    #[must_use]
    pub fn all(&self) -> Faults<'_> {
        Faults::new(&self.inner, Whose::All)
    }

    /// The faults of the next connection that is made, beside those of [`all`](Self::all).
    #[must_use]
    pub fn next(&self) -> Faults<'_> {
        Faults::new(&self.inner, Whose::Next)
    }

    /// Holds all bytes of all connections back: [`Faults::partition`].
    pub fn partition(&self) {
        self.all().partition();
    }

    /// Resets new connections: [`Faults::refuse`].
    pub fn refuse(&self) {
        self.all().refuse();
    }

    /// Ends partitions and refusals: [`Faults::heal`].
    pub fn heal(&self) {
        self.all().heal();
    }

    /// Cuts the connections that are open now, partitioned ones too. New ones are welcome.
    pub fn close_all(&self, how: Cut) {
        for line in self.inner.plan().open.iter().filter_map(Weak::upgrade) {
            line.apply(Direction::ToServer, &Edit::CutNow(how));
        }
    }

    /// Connections so far, refused ones apart.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.inner.connections.load(Ordering::SeqCst)
    }

    /// Connections that were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.inner.refused.load(Ordering::SeqCst)
    }

    /// Bytes handed over in this direction by all connections so far.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> u64 {
        match direction {
            Direction::ToServer => self.inner.traffic.to_server.load(Ordering::SeqCst),
            Direction::ToClient => self.inner.traffic.to_client.load(Ordering::SeqCst),
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The task owns the listener and every connection.
        self.task.abort();
    }
}

impl Inner {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit(&self, whose: Whose, directions: &[Direction], edit: &Edit) {
        let mut plan = self.plan();
        for direction in directions {
            match whose {
                Whose::Next => plan.next.push((*direction, edit.clone())),
                Whose::All => {
                    plan.lane(*direction).apply(edit, 0);
                    for line in plan.open.iter().filter_map(Weak::upgrade) {
                        line.apply(*direction, edit);
                    }
                }
            }
        }
    }

    fn refuse(&self, whose: Whose, refuse: bool) {
        let mut plan = self.plan();
        match whose {
            Whose::All => plan.refuse = refuse,
            Whose::Next => plan.refuse_next = refuse,
        }
    }

    /// What a connection that is made now meets; `None` when it is refused.
    fn admit(&self) -> Option<Arc<Line>> {
        let mut plan = self.plan();
        let (next, refused) = (std::mem::take(&mut plan.next), plan.refuse || plan.refuse_next);
        plan.refuse_next = false;
        if refused {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        self.connections.fetch_add(1, Ordering::SeqCst);
        let line = Line::new(plan.to_server.branch(), plan.to_client.branch());
        for (direction, edit) in &next {
            line.apply(*direction, edit);
        }
        let line = Arc::new(line);
        plan.open.retain(|open| open.strong_count() > 0);
        plan.open.push(Arc::downgrade(&line));
        Some(line)
    }
}

impl Plan {
    const fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

/// Accepts connections and owns them.
async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    const BREATH: Duration = Duration::from_millis(10);
    let mut lines = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_ended) = lines.join_next() => {}
            accepted = listener.accept(), if lines.len() < MAX_OPEN => match accepted {
                Ok((client, _)) => {
                    if let Some(line) = inner.admit() {
                        lines.spawn(carry(line, client, Arc::clone(&inner)));
                    } else {
                        wire::reset(client);
                    }
                }
                Err(_no_descriptor) => sleep(BREATH).await,
            },
        }
    }
}

async fn carry(line: Arc<Line>, client: TcpStream, inner: Arc<Inner>) {
    line.carry(client, inner.upstream, &inner.traffic).await;
}
