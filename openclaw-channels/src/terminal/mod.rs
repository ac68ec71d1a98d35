//! A person at a terminal: lines in, replies out.

mod input;
mod shown;
mod source;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Effect, Env, Error, ErrorKind, OrFail as _, Result, TenantId,
    channel::{Capabilities, Channel, Outbound, Receipt, Source},
};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _, BufReader};

use self::{
    input::Input,
    shown::shown,
    source::{Lines, TerminalSource},
};

/// A person who types, and reads what the gateway answers.
///
/// Each line is a message; the end of the input ends the source, once everything typed before
/// it is settled. What the gateway does not take now comes again by itself, and a refusal is
/// shown. Control characters in a reply are shown, never obeyed: a reply can't move the cursor
/// or forge a line.
///
/// A reply is [`Effect::AtLeastOnce`]: after a crash it may be printed a second time, which a
/// person understands better than none.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use openclaw_channels::terminal::TerminalChannel;
/// use openclaw_core::channel::{Ack, Admitted, Channel};
/// use openclaw_core::{ChannelId, MessageId, TenantId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (id, tenant) = (ChannelId::new("terminal")?, TenantId::new("acme")?);
/// let terminal = TerminalChannel::new(id, tenant, &b"where is order 1042?\n"[..], tokio::io::sink());
/// let mut source = terminal.receive().await?.ok_or("send-only")?;
/// for delivery in source.next(NonZeroUsize::MIN).await? {
///     assert_eq!(delivery.envelope().content.to_text(), "where is order 1042?");
///     delivery.settle(Ack::Accept(Admitted::new(MessageId::from_u128(1), false))).await?;
/// }
/// assert!(source.next(NonZeroUsize::MIN).await?.is_empty(), "the input is at its end");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TerminalChannel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: ChannelId,
    capabilities: Capabilities,
    lines: Arc<Lines>,
    screen: Arc<Screen>,
}

/// What the person sees. A tokio lock: it is held while a line is written.
pub(crate) struct Screen(tokio::sync::Mutex<Box<dyn AsyncWrite + Send + Unpin>>);

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

impl Screen {
    /// Prints whole lines, so that two writers never mix theirs.
    async fn print(&self, text: &str) -> std::io::Result<()> {
        let mut screen = self.0.lock().await;
        screen.write_all(format!("{}\n", shown(text)).as_bytes()).await?;
        screen.flush().await
    }
}

impl TerminalChannel {
    /// A terminal made of this input and this output.
    pub fn new(
        id: ChannelId,
        tenant: TenantId,
        input: impl AsyncBufRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self::with_env(id, tenant, &Env::system(), input, output)
    }

    /// A terminal whose dates and ids come from this environment.
    pub fn with_env(
        id: ChannelId,
        tenant: TenantId,
        env: &Env,
        input: impl AsyncBufRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let screen = Arc::new(Screen(tokio::sync::Mutex::new(Box::new(output))));
        let input = Input::new(Box::new(input));
        let lines = Lines::new(id.clone(), tenant, env.clone(), input, Arc::clone(&screen));
        let mut capabilities = Capabilities::default();
        capabilities.redelivers = true;
        // What is not settled comes again at once, and never in another process.
        capabilities.redelivery_horizon = Duration::from_secs(3_600);
        capabilities.tells_refusals = true;
        capabilities.post = Effect::AtLeastOnce;
        Self(Arc::new(Inner { id, capabilities, lines: Arc::new(lines), screen }))
    }

    /// The terminal of this process.
    ///
    /// Reading it can't be interrupted: end the program's runtime with
    /// `Runtime::shutdown_background`, or the last read holds it until a key is pressed.
    #[must_use]
    pub fn stdio(id: ChannelId, tenant: TenantId) -> Self {
        Self::new(id, tenant, BufReader::new(tokio::io::stdin()), tokio::io::stdout())
    }
}

#[async_trait]
impl Channel for TerminalChannel {
    fn id(&self) -> &ChannelId {
        &self.0.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(Some(Box::new(TerminalSource::new(Arc::clone(&self.0.lines)))))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        let Outbound::Post { part, .. } = call.payload() else {
            return Err(Error::new(ErrorKind::Unsupported, "a terminal takes posts only"));
        };
        let printed = self.0.screen.print(&part.content.to_text()).await;
        printed.or_fail(ErrorKind::Unavailable).map(|()| Receipt::default())
    }
}
