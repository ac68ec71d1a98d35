//! The channel: the server feeds what comes in, the gateway has what goes out.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Env, Error, ErrorKind, Limits, Principal, Result, TenantId,
    channel::{Capabilities, Channel, Health, Outbound, Receipt, Source},
};

use super::{
    body::Budget, builder::HttpChannelBuilder, desk::Desk, hook::CheckedHook, intake::Intake,
    message::Names, routes::App, server::HttpServer,
};

/// Messages over HTTP.
///
/// Give a clone to the gateway as its channel, then [`serve`](Self::serve) the gateway.
///
/// A message is `{"channel_id", "payload", "metadata"}` or `{"topic", "payload",
/// "idempotency_key"}`; fields of both may be mixed, others are refused. The payload is a
/// string or any JSON. `metadata` may name a `conversation_id`, a `sender_id` and an `agent`;
/// it becomes the envelope's headers. All of it is the sender's own words. A message without
/// conversation belongs to its sender's, and without sender it is one by itself.
///
/// Under an idempotency key the same body is answered as the first time, and another one 422.
/// Its scope is the tenant and the named channel.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use openclaw_channels::http::{Condition, Desk, HttpChannel, Standing};
/// use openclaw_core::channel::{Ack, Admitted, Channel};
/// use openclaw_core::{ChannelId, MessageId, Result, TenantId};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// #[derive(Debug)]
/// struct Nobody;
///
/// #[async_trait::async_trait]
/// impl Desk for Nobody {
///     async fn status(&self, _: &TenantId, _: MessageId) -> Result<Option<Standing>> {
///         Ok(None)
///     }
///     async fn settled(&self, _: &TenantId, _: MessageId) -> Result<Standing> {
///         std::future::pending().await
///     }
///     async fn condition(&self) -> Condition {
///         Condition { live: true, ready: true, draining: false, problems: Vec::new() }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let http = HttpChannel::builder(ChannelId::new("web")?).build()?;
/// let mut source = http.receive().await?.ok_or("send-only")?;
/// let server = http.serve(([127, 0, 0, 1], 0), Nobody).await?;
///
/// let body = r#"{"channel_id":"web","payload":"hello"}"#;
/// let request = format!(
///     "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
///     body.len(),
/// );
/// let mut client = tokio::net::TcpStream::connect(server.local_addr()).await?;
/// client.write_all(request.as_bytes()).await?;
///
/// // What a gateway does: make it durable, then settle it.
/// for delivery in source.next(NonZeroUsize::MIN).await? {
///     assert_eq!(delivery.envelope().content.to_text(), "hello");
///     delivery.settle(Ack::Accept(Admitted::new(MessageId::from_u128(1), false))).await?;
/// }
///
/// let mut answer = String::new();
/// client.read_to_string(&mut answer).await?;
/// assert!(answer.starts_with("HTTP/1.1 202"));
/// assert!(answer.contains(r#""status":"queued""#));
/// server.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HttpChannel(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) id: ChannelId,
    pub(super) capabilities: Capabilities,
    pub(super) tenant: TenantId,
    pub(super) names: Names,
    pub(super) hooks: Vec<CheckedHook>,
    pub(super) keys: Vec<ApiKey>,
    pub(super) limits: Limits,
    pub(super) env: Env,
    pub(super) intake: Intake,
    pub(super) budget: Budget,
    pub(super) connections: usize,
    pub(super) servers: Arc<AtomicUsize>,
}

/// An API key, kept as its digest, and who comes with it.
#[derive(Debug)]
pub(super) struct ApiKey {
    pub(super) digest: [u8; 32],
    pub(super) principal: Principal,
    /// It may name other senders.
    pub(super) for_others: bool,
}

impl HttpChannel {
    /// Starts a channel; its messages are the tenant `default`'s unless said otherwise.
    pub fn builder(id: ChannelId) -> HttpChannelBuilder {
        HttpChannelBuilder::new(id)
    }

    /// Listens at this address, and answers for this gateway.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the address can't be listened at; the message says what to do.
    pub async fn serve(&self, at: impl Into<SocketAddr>, desk: impl Desk) -> Result<HttpServer> {
        let at = at.into();
        if self.0.keys.is_empty() && !at.ip().is_loopback() {
            tracing::warn!(address = %at, "anybody who reaches this address may send messages: set an API key");
        }
        HttpServer::start(at, App::new(self.clone(), Arc::new(desk))).await
    }
}

#[async_trait]
impl Channel for HttpChannel {
    fn id(&self) -> &ChannelId {
        &self.0.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(Some(self.0.intake.connect()))
    }

    /// Succeeds at once. The reply is durable in the gateway, where its reader asks for it.
    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        match call.payload() {
            Outbound::Post { .. } => Ok(Receipt::default()),
            Outbound::Edit { .. }
            | Outbound::Delete { .. }
            | Outbound::React { .. }
            | Outbound::Typing { .. } => {
                Err(Error::new(ErrorKind::Unsupported, "over HTTP there are posts only"))
            }
        }
    }

    async fn health(&self) -> Health {
        if self.0.servers.load(Ordering::Relaxed) > 0 {
            Health::Up
        } else {
            Health::Degraded("no server is listening: call `serve`".to_owned())
        }
    }
}
