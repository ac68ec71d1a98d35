//! Which connections and which direction a fault is for, and the faults there are.

use std::time::Duration;

use super::{
    Inner,
    lane::{Cut, Direction, Edit},
};
use crate::env::SeededRng;

/// Whose faults are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    All,
    Next,
}

/// The faults of all connections, or of the next one. A change acts at once.
///
/// They add up: a lane may be late, slow and cut. [`clear`](Self::clear) ends them; for the
/// next connection it ends those of all too.
///
/// ```
/// # use std::time::Duration;
/// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}, time::timeout};
/// use openclaw_testkit::proxy::{Direction, FaultProxy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let proxy = FaultProxy::to(listener.local_addr()?).await?;
/// let mut client = TcpStream::connect(proxy.addr()).await?;
/// let (mut server, _) = listener.accept().await?;
///
/// proxy.all().only(Direction::ToClient).latency(Duration::from_millis(20)).partition();
/// server.write_all(b"late").await?;
/// let wait = timeout(Duration::from_millis(30), client.read_u8());
/// assert!(wait.await.is_err(), "nothing comes, and no error");
/// proxy.heal();
/// assert_eq!(client.read_u8().await?, b'l');
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a> {
    inner: &'a Inner,
    whose: Whose,
    only: Option<Direction>,
}

#[expect(clippy::must_use_candidate, reason = "the change is made; what is returned is for more")]
impl<'a> Faults<'a> {
    pub(super) const fn new(inner: &'a Inner, whose: Whose) -> Self {
        Self { inner, whose, only: None }
    }

    /// The same, in one direction only. Without it a fault is for both.
    #[must_use]
    pub const fn only(mut self, direction: Direction) -> Self {
        self.only = Some(direction);
        self
    }

    /// Hands bytes over this much later. It slows no stream: bytes that follow travel along.
    pub fn latency(&self, by: Duration) -> &Self {
        self.edit(&Edit::Latency(by))
    }

    /// Adds up to this much to the latency of each read, as the seed decides; order is kept.
    pub fn jitter(&self, up_to: Duration, seed: u64) -> &Self {
        self.edit(&Edit::Jitter(up_to, SeededRng::new(seed)))
    }

    /// Carries this many bytes a second and connection, at least 1.
    pub fn bandwidth(&self, bytes_per_s: u64) -> &Self {
        self.edit(&Edit::Bandwidth(bytes_per_s))
    }

    /// Writes this many bytes at a time, at least 1, and rests in between.
    pub fn slice(&self, bytes: usize, pause: Duration) -> &Self {
        self.edit(&Edit::Slice(bytes, pause))
    }

    /// Cuts each connection right behind this many bytes, counted from its start.
    ///
    /// Not one byte more passes. A connection that is beyond is cut at once; 0 cuts when the
    /// first byte comes, which is lost. Each direction counts for itself, and the first to get
    /// there cuts both.
    ///
    /// A reset overtakes what its peer has not read: Linux still hands those bytes over before
    /// the error, other systems may not.
    pub fn cut_after(&self, bytes: u64, how: Cut) -> &Self {
        self.edit(&Edit::Cut { bytes, how, more: false })
    }

    /// Cuts right behind this many more bytes, counted from now; otherwise as
    /// [`cut_after`](Self::cut_after).
    ///
    /// What has been handed over counts, not what is on its way. A connection that is opened
    /// later counts from its start. 0 loses the next byte: the way to lose a whole answer.
    pub fn cut_after_more(&self, bytes: u64, how: Cut) -> &Self {
        self.edit(&Edit::Cut { bytes, how, more: true })
    }

    /// Holds all bytes back, ends and resets too, until [`heal`](Self::heal).
    ///
    /// Nobody is told, as when a cable is pulled. New connections are accepted; the server
    /// hears of them when the way to it is open again.
    pub fn partition(&self) -> &Self {
        self.edit(&Edit::Hold(true))
    }

    /// Resets connections when they are made. It knows no direction.
    pub fn refuse(&self) -> &Self {
        self.inner.refuse(self.whose, true);
        self
    }

    /// Ends partitions and refusals: what was held flows on.
    pub fn heal(&self) -> &Self {
        self.inner.refuse(self.whose, false);
        self.edit(&Edit::Hold(false))
    }

    /// Ends every fault, a cut that has not come included.
    pub fn clear(&self) -> &Self {
        self.inner.refuse(self.whose, false);
        self.edit(&Edit::Clear)
    }

    fn edit(&self, edit: &Edit) -> &Self {
        match self.only {
            Some(direction) => self.inner.edit(self.whose, &[direction], edit),
            None => {
                self.inner.edit(self.whose, &[Direction::ToServer, Direction::ToClient], edit);
            }
        }
        self
    }
}
